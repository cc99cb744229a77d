"""Calls per minute: a slot is held until a minute *after* the call's end.

So the provider never counts more calls in a minute than agreed, however long they were on their
way.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from waybill.core.clock import MONOTONIC, Clock

#: When to look again while every slot belongs to a call under way.
_LOOK_SECS = 1.0


class Window(Protocol):
    """Limits calls per minute."""

    async def enter(self, call: str) -> float:
        """0.0: ``call`` has a slot. Otherwise the seconds after which one may be free."""

    async def leave(self, call: str, *, was_made: bool) -> None:
        """``call`` is over; its slot is free a minute from now, at once if it never was made."""


class LocalWindow:
    """A window of this process: at most ``per_minute`` calls a minute.

    Below 1, one call in several minutes. Not a leaky bucket: one that holds a minute's calls lets
    twice as many through in the first minute.
    """

    def __init__(self, per_minute: float, clock: Clock = MONOTONIC) -> None:
        self._limit = max(1, int(per_minute))
        self._secs = 60.0 * self._limit / per_minute
        self._clock = clock
        self._under_way: set[str] = set()
        self._ended: deque[float] = deque()

    async def enter(self, call: str) -> float:
        now = self._forget_old()
        if len(self._under_way) + len(self._ended) < self._limit:
            self._under_way.add(call)
            return 0.0
        return self._ended[0] + self._secs - now if self._ended else _LOOK_SECS

    async def leave(self, call: str, *, was_made: bool) -> None:
        self._under_way.discard(call)
        if was_made:
            self._ended.append(self._forget_old())

    def _forget_old(self) -> float:
        now = self._clock()
        while self._ended and self._ended[0] + self._secs <= now:
            self._ended.popleft()
        return now
