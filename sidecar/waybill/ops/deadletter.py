"""The dead-letter folder: bodies that nobody can read, kept for a person instead of dropped.

Each body is one file with a JSON file of the same name beside it. The folder is bounded; when it
is full, or cannot be written, the body is not kept, and a metric and the log say so. File names
are made here, never from anything a client sent.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import orjson

from waybill.core.errors import ConfigError
from waybill.ops.metrics import Metrics
from waybill.settings.schema import DeadLetterSettings

log = logging.getLogger(__name__)


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
        raise ConfigError(
            [f"dead_letter.path: cannot write to {settings.path}: {error.strerror}"]
        ) from None


class DeadLetters:
    """Keeps bodies in ``settings.path``, or nowhere when that is null."""

    def __init__(
        self, settings: DeadLetterSettings, metrics: Metrics, now: Callable[[], float] = time.time
    ) -> None:
        self._path = Path(settings.path) if settings.path else None
        self._max_bytes = settings.max_bytes
        self._metrics, self._now = metrics, now
        self._numbers = itertools.count()
        self._counting = threading.Lock()
        self._bytes: int | None = None

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
        size = 0
        body: Path | None = None
        outcome = "failed"
        try:
            body = await asyncio.to_thread(self._new_file, folder)
            with await asyncio.to_thread(body.open, "wb") as file:
                async for chunk in chunks:
                    if not await asyncio.to_thread(self._reserve, folder, len(chunk)):
                        outcome = "full"
                        return outcome
                    size += len(chunk)
                    await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(self._describe, body, reason, (), size)
            outcome = "kept"
        except OSError as error:
            log.error("a body could not be kept", extra={"error": str(error)})
        finally:  # also when the client leaves or its time is up
            if outcome != "kept":
                self._give_up(body, size)
        return outcome

    def _reserve(self, folder: Path, count: int) -> bool:
        """Count ``count`` bytes before they are written; whether there was room for them.

        Bodies are written side by side, on threads: what each may still write is decided here.
        """
        with self._counting:
            used = self._used(folder)
            if used + count > self._max_bytes:
                return False
            self._bytes = used + count
            return True

    def _give_up(self, body: Path | None, size: int) -> None:
        """Remove what was written of a body that is not kept; its bytes count no more."""
        try:
            if body is not None:
                body.unlink(missing_ok=True)
                body.with_suffix(".json").unlink(missing_ok=True)
        except OSError as error:
            log.error("a part of a body cannot be removed", extra={"error": str(error)})
            return
        with self._counting:
            if self._bytes is not None:
                self._bytes -= size

    def _used(self, folder: Path) -> int:
        if self._bytes is None:
            self._bytes = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
        return self._bytes

    def _new_file(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime(self._now()))
        return folder / f"{moment}-{time.time_ns() % 10**9:09d}-{next(self._numbers)}.body"

    def _describe(self, body: Path, reason: str, encodings: Sequence[str], size: int) -> None:
        note = {
            "reason": reason,
            "encodings": list(encodings),
            "bytes": size,
            "time": body.name[:15],
        }
        body.with_suffix(".json").write_bytes(orjson.dumps(note))

    def _write(self, folder: Path, body: bytes, reason: str, encodings: Sequence[str]) -> str:
        file = None
        try:
            file = self._new_file(folder)
            if not self._reserve(folder, len(body)):
                return "full"
            file.write_bytes(body)
            self._describe(file, reason, encodings, len(body))
        except OSError as error:
            log.error("the dead-letter folder cannot be written", extra={"error": str(error)})
            self._give_up(file, len(body))
            return "failed"
        return "kept"
