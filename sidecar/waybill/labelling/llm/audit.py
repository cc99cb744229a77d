"""The audit log: every request as it left, word for word, before it leaves."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path

import orjson

from waybill.core.clock import EPOCH, Clock
from waybill.core.files import is_still
from waybill.labelling.llm.errors import AuditError
from waybill.labelling.llm.prompt import Question

#: A pipe that nobody reads is not waited for.
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC


class Audit:
    """JSON lines in a file that only its owner can read; several processes may write to it.

    At ``max_bytes`` it moves to ``<name>.1``.
    """

    def __init__(self, path: Path, max_bytes: int, clock: Clock = EPOCH) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = asyncio.Lock()

    async def write(self, model: str, form: str, question: Question) -> None:
        """Record a request. Raises AuditError."""
        line = orjson.dumps(
            {
                "ts": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock())),
                "model": model,
                "form": form,
                "system": question.system,
                "user": question.user,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        async with self._lock:
            try:
                await asyncio.to_thread(self._append, line)
            except OSError:
                raise AuditError from None

    def _append(self, line: bytes) -> None:
        """Raises OSError."""
        is_written = False
        while not is_written:
            number = os.open(self._path, _FLAGS, 0o600)
            try:
                fcntl.flock(number, fcntl.LOCK_EX)
                # Somebody may have moved the file out of the way while we waited.
                is_written = is_still(number, self._path) and self._put(number, line)
            finally:
                os.close(number)  # and with it the lock

    def _put(self, number: int, line: bytes) -> bool:
        """Write all of ``line`` or nothing; False where the file is full and was moved."""
        size = os.fstat(number).st_size
        if size and size + len(line) > self._max_bytes:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            return False
        if os.write(number, line) < len(line):  # the disk is full
            with contextlib.suppress(OSError):
                os.ftruncate(number, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return True
