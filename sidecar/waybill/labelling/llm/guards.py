"""Limits how often and for how much the provider is asked: window, ledger and breaker together.

Each guard can say no with a bounded code (`Refused`), and each is safe on its own.
"""

from __future__ import annotations

import asyncio
import math
import uuid

from waybill.core.clock import MONOTONIC, Clock
from waybill.labelling.llm.breaker import Breaker
from waybill.labelling.llm.errors import Refused
from waybill.labelling.llm.ledger import Ledger
from waybill.labelling.llm.window import Window

#: A call waits this long for its turn at most; if it takes longer, what waits is refused. The
#: batches that asked have gone on long before: this is not part of a request's time.
_TURN_SECS = 60.0
#: How often a waiting call looks whether it is its turn.
_LOOK_SECS = 1.0
#: A provider that names a longer Retry-After is asked again after this, in case it was a mistake.
_MAX_PAUSE_SECS = 3600.0


class Guards:
    """All guards of one provider.

    A call goes through `admit` and `Ledger.reserve`, and ends with `leave`.
    """

    def __init__(
        self,
        window: Window,
        ledger: Ledger,
        breaker: Breaker,
        clock: Clock = MONOTONIC,
    ) -> None:
        self._window = window
        self.ledger = ledger
        self.breaker = breaker
        self._clock = clock
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
            if self._clock() - since + wait > _TURN_SECS:
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
