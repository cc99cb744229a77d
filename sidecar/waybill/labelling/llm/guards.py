"""How often the provider is asked and for how much: rate window, daily limits, circuit breaker.

Each guard can say no with a bounded code (`Refused`), and each is safe on its own: a slot in the rate
window is held until a minute *after* the call's end, so the provider never counts more calls in a
minute than agreed, however long they were on their way; tokens and money are reserved before a call
and corrected after it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from collections import deque
from collections.abc import Callable
from typing import Protocol

from waybill.core.errors import WaybillError
from waybill.core.names import BreakerState
from waybill.core.reasons import GuardCode, RefusedCode
from waybill.labelling.llm.store import StoreError, Usage, VerdictStore

log = logging.getLogger(__name__)

#: A call waits this long for its turn at most; if it takes longer, what waits is refused.
PATIENCE_SECS = 60.0
#: How often a waiting call looks whether it is its turn.
_LOOK_SECS = 1.0
#: A provider that names a longer Retry-After is asked again after this, in case it was a mistake.
_MAX_PAUSE_SECS = 3600.0
_DAY_SECS = 86_400


class Refused(WaybillError):
    """Not now; or why a call failed."""

    code: RefusedCode

    def __init__(self, code: RefusedCode) -> None:
        super().__init__(code)
        self.code = code


class Window(Protocol):
    """Limits calls per minute."""

    async def enter(self, call: str) -> float:
        """0.0: ``call`` has a slot. Otherwise the seconds after which one may be free."""

    async def leave(self, call: str, *, was_made: bool) -> None:
        """``call`` is over; its slot is free a minute from now, at once if it never was made."""


class LocalWindow:
    """A window of this process: at most ``per_minute`` calls a minute; below 1, one call in several minutes.

    Not a leaky bucket: one that holds a minute's calls lets twice as many through in the first minute.
    """

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
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


class Ledger:
    """Tokens and money of the day (UTC). A restart does not reset it, for the sum is in the store.

    ``tokens_per_day`` and ``budget_per_day`` are this ledger's share; prices are per million tokens,
    ``wall`` gives epoch seconds.
    """

    def __init__(
        self,
        store: VerdictStore,
        *,
        tokens_per_day: float | None = None,
        budget_per_day: float | None = None,
        price_in: float = 0.0,
        price_out: float = 0.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._wall = store, wall
        self._max_tokens = math.inf if tokens_per_day is None else tokens_per_day
        self._max_micros = math.inf if budget_per_day is None else budget_per_day * 1_000_000
        self._price_in, self._price_out = price_in, price_out
        self._day, self._spent = self._today(), Usage()
        self._told: tuple[int, str] | None = None

    def _today(self) -> int:
        return int(self._wall() // _DAY_SECS)

    def cost(self, tokens_in: int, tokens_out: int) -> int:
        """Millionths of the currency."""
        return math.ceil(tokens_in * self._price_in + tokens_out * self._price_out)

    async def reserve(self, tokens_in: int, tokens_out: int) -> Usage:
        """Set aside what a call may use. Raises Refused, once a day with a line in the log."""
        asked = Usage(tokens_in + tokens_out, self.cost(tokens_in, tokens_out))
        total = await self._add(asked.tokens, asked.micros)
        code: GuardCode = "day_tokens" if total.tokens > self._max_tokens else "day_budget"
        if total.tokens <= self._max_tokens and total.micros <= self._max_micros:
            return asked
        await self._add(-asked.tokens, -asked.micros)
        if self._told != (self._day, code):
            self._told = self._day, code
            log.warning(
                "the LLM has used up its day; records go on without it", extra={"reason": code}
            )
        raise Refused(code)

    async def settle(self, reserved: Usage, tokens: int, micros: int) -> None:
        """Put what was really used in the place of what was reserved."""
        await self._add(tokens - reserved.tokens, micros - reserved.micros)

    async def _add(self, tokens: int, micros: int) -> Usage:
        """The day's total; should the store fail, what this process knows of it still bounds it."""
        today = self._today()
        if today != self._day:
            self._day, self._spent = today, Usage()
        try:
            total = await self._store.add_usage(today, tokens, micros)
        except StoreError:
            total = Usage()
        own = self._spent
        self._spent = Usage(
            max(own.tokens + tokens, total.tokens), max(own.micros + micros, total.micros)
        )
        return self._spent


class Breaker:
    """Leaves a failing provider alone: open after ``failures`` in a row, for ``secs``; then one probe."""

    def __init__(
        self, failures: int, secs: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit, self._secs, self._clock = failures, secs, clock
        self._failures = 0
        self._opened: float | None = None
        self._is_probing = False

    @property
    def state(self) -> BreakerState:
        """``closed`` (calls pass), ``open`` (none does), ``half_open`` (one may try)."""
        if self._opened is None:
            return "closed"
        return "half_open" if self._clock() - self._opened >= self._secs else "open"

    def check(self) -> None:
        """Raises Refused while no call may pass."""
        if self.state == "open" or (self.state == "half_open" and self._is_probing):
            raise Refused("breaker_open")

    def begin(self) -> None:
        """A call begins, after `check`."""
        self._is_probing = self.state == "half_open"

    def succeeded(self) -> None:
        """The provider answered."""
        if self._opened is not None:
            log.info("the LLM provider is back")
        self._failures, self._opened, self._is_probing = 0, None, False

    def failed(self) -> None:
        """A call failed."""
        self._failures += 1
        if self._opened is not None or self._failures >= self._limit:
            if self._opened is None:
                log.warning(
                    "the LLM provider is left alone for a while", extra={"failures": self._failures}
                )
            self._opened, self._is_probing = self._clock(), False

    def released(self) -> None:
        """A call ended in a way that says nothing about the provider."""
        self._is_probing = False


class Guards:
    """All guards of one provider; a call goes through `admit` and `Ledger.reserve`, and ends with `leave`."""

    def __init__(
        self,
        window: Window,
        ledger: Ledger,
        breaker: Breaker,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._window, self.ledger, self.breaker, self._clock = window, ledger, breaker, clock
        self._paused_until = -math.inf

    async def admit(self) -> str:
        """Wait for a turn; gives the id of the call, for `leave`. Raises Refused."""
        call = uuid.uuid4().hex
        since = self._clock()
        while True:
            self.breaker.check()
            wait = self._paused_until - self._clock()
            if wait <= 0:
                wait = await self._window.enter(call)
                if wait <= 0:
                    break
            if self._clock() - since + wait > PATIENCE_SECS:
                raise Refused("rate_limited")
            await asyncio.sleep(min(wait, _LOOK_SECS))
        try:
            self.breaker.check()  # another call may have failed while the window answered
        except Refused:
            await self._window.leave(call, was_made=False)
            raise
        self.breaker.begin()
        return call

    async def leave(self, call: str, *, was_made: bool = True) -> None:
        """The call is over."""
        await self._window.leave(call, was_made=was_made)

    def pause(self, secs: float) -> None:
        """No call for ``secs``: the provider asked for it (Retry-After)."""
        secs = min(max(secs, 1.0), _MAX_PAUSE_SECS)
        self._paused_until = max(self._paused_until, self._clock() + secs)
