"""What can be wrong with the file of the store, in words that say what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from waybill.core.errors import WaybillError

__all__ = ["StoreError", "network_mount", "store_error"]

StoreFault = Literal["locked", "full", "damaged", "not_writable"]
_WORDS: dict[StoreFault, str] = {
    "locked": "another process holds the store; nothing was saved, try again",
    "full": "the disk is full; nothing was saved, make room and try again",
    "damaged": "the store is damaged: what can be read is shown, nothing is saved. Stop the "
    "workbench, move the file and its -wal and -shm away, and restore a backup, or what is left "
    "with `sqlite3 OLD .recover | sqlite3 NEW`; the corrections in force are at "
    "GET /v1/corrections of each sidecar",
    "not_writable": "the store cannot be written; nothing was saved, look at its rights and disk",
}
_CODES: dict[int, StoreFault] = {
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_NOTADB: "damaged",
    sqlite3.SQLITE_READONLY: "not_writable",
    sqlite3.SQLITE_IOERR: "not_writable",
    sqlite3.SQLITE_CANTOPEN: "not_writable",
    sqlite3.SQLITE_PERM: "not_writable",
}
#: File systems whose locks SQLite cannot trust.
_NETWORK = (
    *("nfs", "cifs", "smb", "afs", "ceph", "gluster", "lustre", "beegfs", "9p", "gpfs", "sshfs"),
    *("gcsfuse", "s3fs", "davfs", "ncpfs", "ocfs2"),
)


class StoreError(WaybillError):
    """The store could not be written or read."""

    code: StoreFault

    def __init__(self, code: StoreFault, detail: str) -> None:
        super().__init__(f"{_WORDS[code]} ({detail})")
        self.code = code


def store_error(error: sqlite3.Error) -> StoreError | None:
    """The fault behind an error of SQLite; None: a mistake of ours."""
    code = getattr(error, "sqlite_errorcode", None)
    # The low byte; the others say more of the same.
    fault = _CODES.get(code & 0xFF) if isinstance(code, int) else None
    return StoreError(fault, str(error)) if fault is not None else None


def network_mount(path: Path, mounts: Iterable[str]) -> str | None:
    """The kind of network file system that ``path`` lies on; None: on none.

    ``mounts`` are lines of ``/proc/self/mountinfo``.
    """
    here = path.resolve()
    best = -1
    kind = ""
    for line in mounts:
        left, _, right = line.partition(" - ")
        fields = left.split()
        if len(fields) < 5 or not right:
            continue
        place = Path(fields[4].encode().decode("unicode_escape"))
        if here.is_relative_to(place) and len(place.parts) >= best:
            best, kind = len(place.parts), right.split()[0]
    name = kind.removeprefix("fuse.")
    return kind if name.startswith(_NETWORK) else None
