"""The audit log: every request as it left, word for word, before it leaves."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import orjson

from waybill.core.clock import EPOCH, Clock
from waybill.labelling.llm.errors import AuditError
from waybill.labelling.llm.prompt import Question


class Audit:
    """JSON lines in a file that only its owner can read.

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
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.fstat(file).st_size + len(line) > self._max_bytes and os.fstat(file).st_size:
                self._path.replace(self._path.with_name(self._path.name + ".1"))
                os.close(file)
                file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.write(file, line)
        finally:
            os.close(file)
