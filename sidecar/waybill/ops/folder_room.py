"""How much a folder may still take, counted by all processes that write there.

Workers, and sidecars that share a folder, count in one file of it, each while it holds the file's
lock: ``.count``. A file takes whole blocks of the disk, so that a million small ones count as what
they are. Where there seems to be no room the folder is looked through again: somebody may have
removed files, or have died between counting and writing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["FolderRoom", "on_disk"]

_BLOCK_BYTES = 4096
_COUNT = ".count"
_DIGITS = 20
#: To look through a full folder costs time for each of its files.
_LOOK_SECS = 10.0


def on_disk(size: int) -> int:
    """What a file of ``size`` bytes takes."""
    return -(-size // _BLOCK_BYTES) * _BLOCK_BYTES


class FolderRoom:
    """Room for ``most`` bytes in ``folder``. Its methods do blocking work, and raise OSError."""

    def __init__(
        self, folder: Path, most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._most = most
        self._clock = clock
        self._looked_at: float | None = None

    def take(self, count: int, claim: Callable[[], object] = lambda: None) -> bool:
        """Count ``count`` bytes before they are written; whether there was room for them.

        ``claim`` is called before anybody else counts: it makes files as large as they will be, so
        that whoever looks the folder through finds what was taken and is not written yet.
        """
        with self._locked() as number:
            used = self._used(number)
            if used + count > self._most and self._may_look():
                used = self._look()
            has_room = used + count <= self._most
            if has_room:
                claim()
            _write(number, used + count if has_room else used)
        return has_room

    def give(self, count: int) -> None:
        """What was taken is free again."""
        with self._locked() as number:
            _write(number, max(0, self._used(number) - count))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        number = os.open(self._folder / _COUNT, flags, 0o600)
        try:
            fcntl.flock(number, fcntl.LOCK_EX)
            yield number
        finally:
            os.close(number)  # and with it the lock

    def _used(self, number: int) -> int:
        """What was counted; looked up where the file holds no number."""
        counted = os.pread(number, _DIGITS, 0)
        return int(counted) if counted.isdigit() else self._look()

    def _may_look(self) -> bool:
        return self._looked_at is None or self._clock() - self._looked_at >= _LOOK_SECS

    def _look(self) -> int:
        self._looked_at = self._clock()
        with os.scandir(self._folder) as entries:
            return sum(
                on_disk(entry.stat(follow_symlinks=False).st_size)
                for entry in entries
                if entry.name != _COUNT and entry.is_file(follow_symlinks=False)
            )


def _write(number: int, count: int) -> None:
    os.pwrite(number, b"%0*d" % (_DIGITS, count), 0)
