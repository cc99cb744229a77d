"""Where the corrections of one service come from: files, and what was fetched from a server."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from waybill.core.correction import Correction
from waybill.core.errors import CorrectionError, CorrectionsError
from waybill.core.labels import Taxonomy
from waybill.labelling.corrections.files import (
    History,
    fingerprint,
    parse_history,
    read_history,
    unread_files,
)
from waybill.labelling.corrections.table import CorrectionTable, read_table

__all__ = ["CorrectionSource"]

_FETCHED = "corrections.follow"


class CorrectionSource:
    """Reads all there is, and makes the table of it. Its calls block: they are for threads.

    ``paths`` are files and folders; ``labelling`` is the name of the labelling that they are for.
    """

    def __init__(self, paths: Sequence[Path], labelling: str = "") -> None:
        self.paths = tuple(paths)
        self._labelling = labelling
        self._fetched = b""
        self._fetched_mark = ""
        #: Those that held something when they were read last: one that vanishes is a fault.
        self._seen = set(filter(_has_bytes, self.paths))

    @property
    def fetched(self) -> bytes:
        """What was fetched last; empty for nothing."""
        return self._fetched

    def take_fetched(self, data: bytes) -> None:
        """What a server gave, in place of what it gave before; NDJSON, not checked yet."""
        self._fetched = data
        self._fetched_mark = hashlib.blake2b(data, digest_size=8).hexdigest()

    def history(self) -> History:
        """Every correction there is. Raises CorrectionsError."""
        for path in self._seen:
            _check_still_there(path)
        self._seen = set(filter(_has_bytes, self.paths))
        history = read_history(self.paths)
        if self._fetched:
            history.extend(parse_history(self._fetched, _FETCHED))
        return history

    def load(self, taxonomy: Taxonomy) -> CorrectionTable:
        """What stands. Raises CorrectionsError."""
        try:
            mark = self.fingerprint()  # before reading: what changes meanwhile is read again
        except OSError:
            mark = ""
        table = read_table(self.history(), taxonomy, self._labelling)
        table.files_mark = mark
        table.tell = self.tell
        return table

    def tell(self, name: str) -> Correction | None:
        """The correction with that id, with all that was said; None where it cannot be read."""
        try:
            corrections = self.history().corrections
        except CorrectionsError:
            return None
        for one in corrections:
            if one.id == name:
                return one
        return None

    def fingerprint(self) -> str:
        """Changes when there is something to load again. Raises OSError while a file changes."""
        return f"{fingerprint(self.paths)}{self._fetched_mark}"

    def warnings(self) -> list[str]:
        """Sentences about what lies beside the files and is not read."""
        found: list[str] = []
        for path in self.paths:
            found += unread_files(path)
        return found


def _has_bytes(path: Path) -> bool:
    """Whether there is a file with something in it, or a folder."""
    try:
        return path.is_dir() or path.stat().st_size > 0
    except OSError:
        return False


def _check_still_there(path: Path) -> None:
    """Raises CorrectionsError: what held corrections is gone, or has no byte left."""
    if _has_bytes(path):
        return
    if path.exists():
        detail = "has no byte left, as a file that is being written; a blank line empties it"
        raise CorrectionsError([CorrectionError("emptied", detail, file=str(path))])
    detail = "was there before and is gone"
    raise CorrectionsError([CorrectionError("unreadable", detail, file=str(path))])
