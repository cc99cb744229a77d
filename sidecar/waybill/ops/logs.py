"""Waybill's own log: one JSON object per line on stderr, rate-limited, without record bodies.

JSON escapes control characters, so text that came from outside cannot forge a line. The same
message from the same place is written at most once per interval; what was held back is counted
in the next line that is written.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

import orjson

#: Vector's instrumentation specification asks for at most one error line per 10 s and cause.
INTERVAL_SECS = 10.0
#: What tells causes apart: a reason code, and where in the rules a fault is.
_CAUSE = ("reason", "file", "line", "rule")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON; ``extra`` fields stand beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode("utf-8", "replace")

    converter = staticmethod(time.gmtime)


class RateLimit(logging.Filter):
    """Lets a warning or error of one kind (logger, message template, cause) through once per interval."""

    def __init__(
        self, interval_secs: float = INTERVAL_SECS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._interval, self._clock = interval_secs, clock
        self._seen: dict[tuple[object, ...], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        cause = (getattr(record, name, None) for name in _CAUSE)
        key, now = (record.name, str(record.msg), *cause), self._clock()
        since, held = self._seen.get(key, (-self._interval, 0))
        if now - since < self._interval:
            self._seen[key] = (since, held + 1)
            return False
        if len(self._seen) > 1000:  # causes are few; this guards against a caller who formats early
            self._seen.clear()
        self._seen[key] = (now, 0)
        if held:
            record.repeated = held
        return True


def setup_logging(level: str) -> None:
    """Send everything at ``level`` and above to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(RateLimit())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # aiohttp logs each malformed request with its bytes, which may be records.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
