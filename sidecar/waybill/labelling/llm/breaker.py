"""The circuit breaker: a failing provider is left alone, then tried with one call."""

from __future__ import annotations

import logging

from waybill.core.clock import MONOTONIC, Clock
from waybill.core.names import BreakerState
from waybill.labelling.llm.errors import Refused

log = logging.getLogger(__name__)


class Breaker:
    """Leaves a failing provider alone.

    It opens after ``failures`` in a row, for ``secs``; then one call may try.
    """

    def __init__(self, failures: int, secs: float, clock: Clock = MONOTONIC) -> None:
        self._limit = failures
        self._secs = secs
        self._clock = clock
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
        self._failures = 0
        self._opened = None
        self._is_probing = False

    def failed(self) -> None:
        """A call failed."""
        self._failures += 1
        if self._opened is not None or self._failures >= self._limit:
            if self._opened is None:
                log.warning(
                    "the LLM provider is left alone for a while", extra={"failures": self._failures}
                )
            self._opened = self._clock()
            self._is_probing = False

    def released(self) -> None:
        """A call ended in a way that says nothing about the provider."""
        self._is_probing = False
