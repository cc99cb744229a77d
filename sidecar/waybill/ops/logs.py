"""Waybill's own log: one JSON object per line on stderr, rate-limited, without record bodies.

JSON escapes control characters, so text that came from outside cannot forge a line. The same
message from the same place is written at most once per interval; what was held back is counted
in the next line that is written.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable, Sequence

import orjson

from waybill.core.sent import without_secrets

#: Vector's instrumentation specification asks for at most one error line per 10 s and cause.
INTERVAL_SECS = 10.0
#: What tells causes apart: a reason code, and where in the rules a fault is.
_CAUSE = ("reason", "file", "line", "rule")
#: What tells two faults of one cause apart: a second mistake in the same rule is news, too.
_DETAILS = ("detail", "path")
#: Who was talked to: a line with it is limited whatever its level, for strangers cause it.
_STRANGER = "peer"
#: Details may come from outside: of one cause so many different ones are written in an interval.
_MOST_DETAILS = 10
_MOST_CAUSES = 1000
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON; ``extra`` fields stand beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "ts": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return without_secrets(orjson.dumps(line, default=str).decode("utf-8", "replace"))

    converter = staticmethod(time.gmtime)


class _Written:
    """What was written of one cause in the interval that began at ``since``, and what was held."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.details: set[tuple[object, ...]] = set()
        self.held = 0


class RateLimit(logging.Filter):
    """Lets a warning, an error or what a peer caused, of one kind (logger, message template, cause,
    detail), through once.

    Once per interval, that is; and of one cause not more than ten different details.
    """

    def __init__(
        self, interval_secs: float = INTERVAL_SECS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._interval_secs = interval_secs
        self._clock = clock
        self._written: dict[tuple[object, ...], _Written] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` is to be written; what was held back before is noted in it."""
        if record.levelno < logging.WARNING and not hasattr(record, _STRANGER):
            return True
        cause = (record.name, str(record.msg), *_values(record, _CAUSE))
        detail = _values(record, _DETAILS)
        now = self._clock()
        written = self._written.get(cause)
        if written is None or now - written.since >= self._interval_secs:
            self._begin(cause, detail, now, record)
            return True
        if detail in written.details or len(written.details) >= _MOST_DETAILS:
            written.held += 1
            return False
        written.details.add(detail)
        return True

    def _begin(
        self,
        cause: tuple[object, ...],
        detail: tuple[object, ...],
        now: float,
        record: logging.LogRecord,
    ) -> None:
        """Begin an interval with ``record``."""
        before = self._written.get(cause)
        if before is not None and before.held:
            record.repeated = before.held
        if len(self._written) > _MOST_CAUSES:  # they are few; a caller who formats early has many
            self._written.clear()
        written = _Written(now)
        written.details.add(detail)
        self._written[cause] = written


def _values(record: logging.LogRecord, names: Sequence[str]) -> tuple[object, ...]:
    return tuple(str(getattr(record, name, None)) for name in names)


def setup_logging(level: str) -> None:
    """Send everything at ``level`` and above to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(RateLimit())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    if not sys.warnoptions:  # libraries warn of what strangers send, in its words and as often
        warnings.simplefilter("ignore")
    # aiohttp logs each malformed request with its bytes, which may be records.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
