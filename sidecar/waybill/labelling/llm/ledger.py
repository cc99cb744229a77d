"""Tokens and money of a day: reserved before a call, corrected after it."""

from __future__ import annotations

import logging
import math
from typing import Protocol

from waybill.core.clock import EPOCH, Clock
from waybill.core.reasons import GuardCode
from waybill.labelling.llm.errors import Refused, StoreError
from waybill.labelling.llm.store import Usage

log = logging.getLogger(__name__)
_DAY_SECS = 86_400
_DAYS_KEPT = 4
#: After the store was away, a node keeps to its own share for so long: until the others, too, have
#: told the store what they spent meanwhile.
_WARY_SECS = 600.0


class CountsUsage(Protocol):
    """Keeps what was spent by day; a `VerdictStore` does."""

    async def add_usage(self, day: int, tokens: int, micros: int) -> Usage:
        """Add to a day's usage and give its total. Raises StoreError."""


class _Day:
    """What is known of one day: the total of all, this node's own, what the store has missed, and
    total and own before the store went away.
    """

    def __init__(self) -> None:
        self.total = Usage()
        self.own = Usage()
        self.unreported = Usage()
        self.heard = Usage()
        self.own_then = Usage()


class Ledger:
    """Tokens and money of the day (UTC). A restart does not reset it, for the sum is in the store.

    ``tokens_per_day`` and ``budget_per_day`` are what all that share ``store`` may spend; prices
    are per million tokens, ``clock`` gives epoch seconds. While the store is away, this process may
    have spent ``own_share`` (0 to 1) of the limits: by its own count, which ``own``, when given,
    keeps over a restart and for all workers of the node. The store gets that count when it is back.
    """

    def __init__(
        self,
        store: CountsUsage,
        *,
        tokens_per_day: float | None = None,
        budget_per_day: float | None = None,
        price_in: float = 0.0,
        price_out: float = 0.0,
        own: CountsUsage | None = None,
        own_share: float = 1.0,
        clock: Clock = EPOCH,
    ) -> None:
        self._store = store
        self._own_store = own
        self._own_share = own_share
        self._clock = clock
        self._max_tokens = math.inf if tokens_per_day is None else tokens_per_day
        self._max_micros = math.inf if budget_per_day is None else budget_per_day * 1_000_000
        self._price_in = price_in
        self._price_out = price_out
        #: Some days, not one: a clock that is set back and forth must not begin a day anew.
        self._days: dict[int, _Day] = {}
        self._reported: tuple[int, str] | None = None
        self._wary_until = -math.inf

    def _today(self) -> int:
        return int(self._clock() // _DAY_SECS)

    def _day(self, number: int) -> _Day:
        day = self._days.setdefault(number, _Day())
        while len(self._days) > _DAYS_KEPT:
            del self._days[next(iter(self._days))]
        return day

    def cost(self, tokens_in: int, tokens_out: int) -> int:
        """Millionths of the currency."""
        return math.ceil(tokens_in * self._price_in + tokens_out * self._price_out)

    async def reserve(self, tokens_in: int, tokens_out: int) -> Usage:
        """Set aside what a call may use. Raises Refused, once a day with a line in the log."""
        asked = Usage(tokens_in + tokens_out, self.cost(tokens_in, tokens_out))
        code = await self._add(asked.tokens, asked.micros)
        if code is None:
            return asked
        await self._add(-asked.tokens, -asked.micros)
        today = self._today()
        if self._reported != (today, code):
            self._reported = (today, code)
            log.warning(
                "the LLM has used up its day; records go on without it", extra={"reason": code}
            )
        raise Refused(code)

    async def look(self) -> None:
        """Hear what all have spent.

        Who never calls, and so never hears it, would take a share of the whole day while the store
        is away, not of what was left of it.
        """
        await self._add(0, 0)

    async def settle(self, reserved: Usage, tokens: int, micros: int) -> None:
        """Put what was really used in the place of what was reserved."""
        await self._add(tokens - reserved.tokens, micros - reserved.micros)

    async def _add(self, tokens: int, micros: int) -> GuardCode | None:
        """Count, and say which limit is exceeded: the total's, or without the store our share."""
        number = self._today()
        day = self._day(number)
        added = Usage(tokens, micros)
        missed = _sum(day.unreported, added)
        day.unreported = Usage()
        own = await _added(self._own_store, number, added)
        day.own = _largest(_sum(day.own, added), own or Usage())
        total = await _added(self._store, number, missed)
        day.total = _largest(_sum(day.total, added), total or Usage())
        if total is None:
            day.unreported = _sum(day.unreported, missed)
            self._wary_until = self._clock() + _WARY_SECS
        if self._clock() < self._wary_until:
            return self._exceeded_alone(day) or self._exceeded(day.total)
        day.heard, day.own_then = day.total, day.own
        return self._exceeded(day.total)

    def _exceeded_alone(self, day: _Day) -> GuardCode | None:
        """Which limit all nodes could exceed together if each of them spent as much as this one."""
        since = Usage(day.own.tokens - day.own_then.tokens, day.own.micros - day.own_then.micros)
        share = self._own_share
        return self._exceeded(day.own, share) or self._exceeded(since, share, day.heard)

    def _exceeded(
        self, spent: Usage, share: float = 1.0, before: Usage | None = None
    ) -> GuardCode | None:
        """The limit of which more than ``share`` is spent, of what was left after ``before``."""
        gone = before or Usage()
        if spent.tokens > max(0, self._max_tokens - gone.tokens) * share:
            return "day_tokens"
        if spent.micros > max(0, self._max_micros - gone.micros) * share:
            return "day_budget"
        return None


async def _added(store: CountsUsage | None, day: int, usage: Usage) -> Usage | None:
    """The day's total in ``store`` with ``usage`` added; None where the store does not say."""
    if store is None:
        return None
    try:
        return await store.add_usage(day, usage.tokens, usage.micros)
    except StoreError:
        return None


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(one.tokens + other.tokens, one.micros + other.micros)


def _largest(one: Usage, other: Usage) -> Usage:
    return Usage(max(one.tokens, other.tokens), max(one.micros, other.micros))
