"""The audit log: every request as it left, word for word, before it leaves."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import orjson

from waybill.core.errors import WaybillError
from waybill.labelling.llm.prompt import Question


class AuditError(WaybillError):
    """The audit log cannot be written; what cannot be recorded must not leave."""

    code: Literal["audit"] = "audit"


class Audit:
    """JSON lines in a file that only its owner can read; at ``max_bytes`` it moves to ``<name>.1``."""

    def __init__(self, path: Path, max_bytes: int, wall: Callable[[], float] = time.time) -> None:
        self._path, self._max_bytes, self._wall = path, max_bytes, wall
        self._lock = asyncio.Lock()

    async def write(self, model: str, form: str, question: Question) -> None:
        """Record a request. Raises AuditError."""
        line = orjson.dumps(
            {
                "ts": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._wall())),
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
