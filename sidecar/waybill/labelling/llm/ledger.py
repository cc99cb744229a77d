"""Tokens and money of a day: reserved before a call, corrected after it."""

from __future__ import annotations

import logging
import math

from waybill.core.clock import EPOCH, Clock
from waybill.core.reasons import GuardCode
from waybill.labelling.llm.errors import Refused, StoreError
from waybill.labelling.llm.store import Usage, VerdictStore

log = logging.getLogger(__name__)
_DAY_SECS = 86_400


class Ledger:
    """Tokens and money of the day (UTC). A restart does not reset it, for the sum is in the store.

    ``tokens_per_day`` and ``budget_per_day`` are this ledger's share; prices are per million
    tokens, ``clock`` gives epoch seconds.
    """

    def __init__(
        self,
        store: VerdictStore,
        *,
        tokens_per_day: float | None = None,
        budget_per_day: float | None = None,
        price_in: float = 0.0,
        price_out: float = 0.0,
        clock: Clock = EPOCH,
    ) -> None:
        self._store = store
        self._clock = clock
        self._max_tokens = math.inf if tokens_per_day is None else tokens_per_day
        self._max_micros = math.inf if budget_per_day is None else budget_per_day * 1_000_000
        self._price_in = price_in
        self._price_out = price_out
        self._day = self._today()
        self._spent = Usage()
        self._told: tuple[int, str] | None = None

    def _today(self) -> int:
        return int(self._clock() // _DAY_SECS)

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
            self._told = (self._day, code)
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
            self._day = today
            self._spent = Usage()
        try:
            total = await self._store.add_usage(today, tokens, micros)
        except StoreError:
            total = Usage()
        own = self._spent
        self._spent = Usage(
            max(own.tokens + tokens, total.tokens), max(own.micros + micros, total.micros)
        )
        return self._spent
