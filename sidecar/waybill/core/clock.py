"""Time as a parameter, so that a test can turn the clock by hand.

What needs the time takes a ``clock: Clock``. Its default says which one: `MONOTONIC` measures
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
#: How long the time of day must have gone as it should before it is believed.
STEADY_SECS = 3600.0
#: More than clocks are put right by in small steps.
_JUMP_SECS = 60.0


class ManualClock:
    """A clock that stands still until somebody moves it."""

    def __init__(self, secs: float = 0.0) -> None:
        self._secs = secs

    def __call__(self) -> float:
        return self._secs

    def advance(self, secs: float) -> None:
        """Let ``secs`` seconds pass."""
        self._secs += secs


class Steadiness:
    """Whether the time of day has gone as it should for ``secs`` seconds.

    Ask it before what cannot be undone is done because of a date: a clock that jumped ahead makes
    everything old.
    """

    def __init__(
        self, secs: float = STEADY_SECS, clock: Clock = EPOCH, monotonic: Clock = MONOTONIC
    ) -> None:
        self._secs = secs
        self._clock = clock
        self._monotonic = monotonic
        self._since = monotonic()
        self._offset = clock() - self._since

    def __call__(self) -> bool:
        """Whether it has; a jump of more than a minute begins the time anew."""
        now = self._monotonic()
        offset = self._clock() - now
        if abs(offset - self._offset) > _JUMP_SECS:
            self._since = now
            self._offset = offset
        return now - self._since >= self._secs
