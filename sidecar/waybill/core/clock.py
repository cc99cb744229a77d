"""Time as a parameter, so that a test can turn the clock by hand.

Whoever needs the time takes a ``clock: Clock``. Its default says which one: `MONOTONIC` measures
spans and never goes back; `EPOCH` is the time of day and may jump.

>>> clock = ManualClock(100.0)
>>> clock.advance(2.5)
>>> clock()
102.5
"""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]

#: Seconds since some moment in the past.
MONOTONIC: Clock = time.monotonic
#: Seconds since 1970-01-01 UTC.
EPOCH: Clock = time.time


class ManualClock:
    """A clock that stands still until somebody moves it."""

    def __init__(self, secs: float = 0.0) -> None:
        self._secs = secs

    def __call__(self) -> float:
        return self._secs

    def advance(self, secs: float) -> None:
        """Let ``secs`` seconds pass."""
        self._secs += secs
