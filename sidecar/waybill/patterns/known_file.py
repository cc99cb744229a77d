"""The file of known patterns (``patterns.path``): read at the start, written when there are more.

It costs nobody anything when it cannot be read or written: what is known then lasts until the next
start, and the log and ``waybill_pattern_errors_total`` say so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from waybill.core.files import open_regular
from waybill.core.output import writing
from waybill.core.reasons import PatternFault
from waybill.patterns.known import KnownPatterns, NotKnown

__all__ = ["KnownFile"]

log = logging.getLogger(__name__)
#: No file of ours is larger (``patterns.size`` 500,000), one labelling or several.
_MOST_BYTES = 32 << 20


class KnownFile:
    """Where the known patterns are kept; ``on_fault`` gets a sentence about what failed."""

    def __init__(
        self, path: Path, known: KnownPatterns, on_fault: Callable[[PatternFault], None]
    ) -> None:
        self._path = path
        self._known = known
        self._on_fault = on_fault
        self._saved = 0
        self._fails = False

    def read(self) -> None:
        """Know what the file knows. A file that is not there is not a fault."""
        try:
            with open_regular(self._path) as file:
                data = file.read(max(_MOST_BYTES, self._known.most_bytes) + 1)
            self._known.load(data)
        except FileNotFoundError:
            return
        except (OSError, NotKnown) as error:
            self._on_fault("read")
            what = error.strerror if isinstance(error, OSError) else "it is damaged, or no such"
            log.warning(
                "the file of known patterns (patterns.path) is not used; patterns are learnt anew",
                extra={"path": str(self._path), "detail": what},
            )
            return
        self._saved = self._known.changes

    def has_news(self) -> bool:
        """Whether there is something to write."""
        return self._known.changes != self._saved

    def write(self) -> None:
        """Write all that is known; the file is replaced in one step, or stays as it was."""
        changes = self._known.changes
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with writing(str(self._path)) as file:
                file.write(self._known.dump())
        except OSError as error:
            self._on_fault("write")
            if not self._fails:
                log.error(
                    "the file of known patterns (patterns.path) cannot be written: after a restart "
                    "they would be learnt anew",
                    extra={"path": str(self._path), "detail": error.strerror},
                )
            self._fails = True
            return
        self._saved = changes
        self._fails = False
