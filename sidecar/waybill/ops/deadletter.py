"""The dead-letter folder: bodies that nobody can read, kept for a person instead of dropped.

Each body is one file with a JSON file of the same name beside it. The folder is bounded for
all processes that write there; when it is full, or cannot be written, the body is not kept, and a
metric and the log say so. File names are made here, never from anything a client sent.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
import os
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import BinaryIO

import orjson

from waybill.core.errors import ConfigError
from waybill.ops.folder_room import FolderRoom, on_disk
from waybill.ops.metrics import Metrics
from waybill.settings.schema import DeadLetterSettings

log = logging.getLogger(__name__)
#: So much is counted, and then written, at once.
_PIECE_BYTES = 1 << 20


def check_folder(settings: DeadLetterSettings) -> None:
    """See that the folder could be written, or made, and write nothing.

    Raises:
        ConfigError: it could not.
    """
    if settings.path is None:
        return
    folder = Path(settings.path).absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    code = None if there.is_dir() else errno.ENOTDIR
    if code is None and not os.access(there, os.W_OK | os.X_OK):
        code = errno.EACCES
    if code is not None:
        raise _unwritable(settings, os.strerror(code))


def prepare_folder(settings: DeadLetterSettings) -> None:
    """Make the folder and see that it can be written: later would be when a body has nowhere else
    to go.

    Raises:
        ConfigError: it cannot.
    """
    if settings.path is None:
        return
    try:
        Path(settings.path).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.path):
            pass
    except OSError as error:
        raise _unwritable(settings, error.strerror) from None


def _unwritable(settings: DeadLetterSettings, why: str | None) -> ConfigError:
    return ConfigError([f"dead_letter.path: cannot write to {settings.path}: {why}"])


class DeadLetters:
    """Keeps bodies in ``settings.path``, or nowhere when that is null."""

    def __init__(self, settings: DeadLetterSettings, metrics: Metrics) -> None:
        self._path = Path(settings.path) if settings.path else None
        self._metrics = metrics
        self._numbers = itertools.count()
        self._room = FolderRoom(Path(settings.path or ""), settings.max_bytes)

    async def keep(self, body: bytes, reason: str, encodings: Sequence[str] = ()) -> bool:
        """Write ``body`` with its ``reason``; whether it was kept. Never raises."""
        if self._path is None:
            self._metrics.dead_letters.labels("off").inc()
            return False
        outcome = await asyncio.to_thread(self._write, self._path, body, reason, encodings)
        self._metrics.dead_letters.labels(outcome).inc()
        if outcome != "kept":
            log.error(
                "an unreadable body could not be kept", extra={"outcome": outcome, "reason": reason}
            )
        return outcome == "kept"

    async def keep_stream(self, chunks: AsyncIterator[bytes], reason: str) -> bool:
        """Write a body that is too large to be held, piece by piece; whether it was kept. Never
        raises.
        """
        if self._path is None:
            self._metrics.dead_letters.labels("off").inc()
            return False
        outcome = await self._write_stream(self._path, chunks, reason)
        self._metrics.dead_letters.labels(outcome).inc()
        return outcome == "kept"

    async def _write_stream(self, folder: Path, chunks: AsyncIterator[bytes], reason: str) -> str:
        """Write to a file that is removed again unless all of the body is in it."""
        kept = _Kept(folder, self._room)
        outcome = "failed"
        try:
            await asyncio.to_thread(kept.begin, self._new_name())
            async for chunk in chunks:
                if not await asyncio.to_thread(kept.add, chunk):
                    outcome = "full"
                    return outcome
            if not await asyncio.to_thread(kept.end, reason, ()):
                outcome = "full"
                return outcome
            outcome = "kept"
        except OSError as error:
            log.error("a body could not be kept", extra={"error": str(error)})
        finally:  # also when the client leaves or its time is up
            if outcome != "kept":
                await asyncio.to_thread(kept.give_up)
        return outcome

    def _new_name(self) -> str:
        moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        return f"{moment}-{time.time_ns() % 10**9:09d}-{os.getpid()}-{next(self._numbers)}"

    def _write(self, folder: Path, body: bytes, reason: str, encodings: Sequence[str]) -> str:
        kept = _Kept(folder, self._room)
        outcome = "failed"
        try:
            kept.begin(self._new_name())
            pieces = (body[at : at + _PIECE_BYTES] for at in range(0, len(body), _PIECE_BYTES))
            has_room = all(map(kept.add, pieces)) and kept.end(reason, encodings)
            outcome = "kept" if has_room else "full"
        except OSError as error:
            log.error("the dead-letter folder cannot be written", extra={"error": str(error)})
        if outcome != "kept":
            kept.give_up()
        return outcome


class _Kept:
    """One body on its way to the disk, with its note; what it takes is counted before.

    Its methods do blocking work. Who gives up need not wait for a thread that still writes.
    """

    def __init__(self, folder: Path, room: FolderRoom) -> None:
        self._folder = folder
        self._room = room
        self._body: Path | None = None
        self._file: BinaryIO | None = None
        self._size = 0
        self._taken = 0
        self._turn = threading.Lock()

    def begin(self, name: str) -> None:
        """Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._body = self._folder / f"{name}.body"
        self._file = self._body.open("xb", buffering=0)

    def add(self, chunk: bytes) -> bool:
        """Write some more of the body; whether there was room. Raises OSError."""
        with self._turn:
            size = self._size + len(chunk)
            if self._file is None or not self._take(on_disk(size) + on_disk(1), size):  # and a note
                return False
            self._size = size
            if self._file.write(chunk) < len(chunk):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return True

    def end(self, reason: str, encodings: Sequence[str]) -> bool:
        """Write the note; whether there was room. Raises OSError."""
        with self._turn:
            if self._body is None or self._file is None:
                return False
            note = {
                "reason": reason,
                "encodings": list(encodings),
                "bytes": self._size,
                "time": self._body.name[:15],
            }
            text = orjson.dumps(note)
            if not self._take(on_disk(self._size) + on_disk(len(text)), self._size):
                return False
            self._body.with_suffix(".json").write_bytes(text)
            self._file.close()
            return True

    def give_up(self) -> None:
        """Remove what was written; it counts no more. Raises nothing."""
        try:
            with self._turn:
                if self._file is not None and self._body is not None:
                    self._file.close()
                    self._file = None
                    self._body.unlink(missing_ok=True)
                    self._body.with_suffix(".json").unlink(missing_ok=True)
                if self._taken:
                    self._room.give(self._taken)
        except OSError as error:
            log.error("a part of a body cannot be removed", extra={"error": str(error)})

    def _take(self, count: int, size: int) -> bool:
        """Count ``count`` bytes in all for this body, which will have ``size``, and its note."""
        if count > self._taken:
            if not self._room.take(count - self._taken, lambda: self._claim(size)):
                return False
            self._taken = count
        return True

    def _claim(self, size: int) -> None:
        """Make the files as large as they will be, for who looks the folder through meanwhile."""
        assert self._file is not None
        assert self._body is not None
        os.ftruncate(self._file.fileno(), size)
        note = self._body.with_suffix(".json")
        if not note.exists():
            note.write_bytes(b"\n")
