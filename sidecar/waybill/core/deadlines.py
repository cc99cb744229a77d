"""One request's time, divided among everybody who may keep it waiting.

Fluent Bit and Vector give up on a request after 60 s and send it again. An answer that comes later
is the one case in which Waybill itself makes duplicates, so the waits between the end of a body and
its answer must add up to less; `waybill.settings.deadlines` fills this in and checks the sum.

>>> Deadlines().answer()
47.0
"""

from __future__ import annotations

import msgspec


class Deadlines(msgspec.Struct, frozen=True):
    """The longest that each step may take, in seconds.

    ``head`` and ``body`` are counted apart from the rest: while they last the shipper is sending.
    """

    #: When a shipper gives up on a request (the default of Fluent Bit and of Vector).
    shipper: float = 60.0
    #: For the head of a request (``http.header_timeout_secs``).
    head: float = 10.0
    #: For its body (``http.read_timeout_secs``).
    body: float = 15.0
    #: For the model's verdicts; less when ``model.over_budget`` is ``defer``.
    model: float = 15.0
    #: For the LLM's verdicts (``llm.wait_ms``).
    llm: float = 2.0
    #: Until it is a batch's turn to be pushed.
    slot: float = 10.0
    #: For the receiver of the push (``return.timeout_secs``).
    push: float = 20.0

    @property
    def encoder(self) -> float:
        """For all tries of an encoder that is a service: within the model's time, with a rest."""
        return 0.8 * self.model

    def answer(self) -> float:
        """From the end of a body to its answer, if every wait is as long as it may be."""
        return self.model + self.llm + self.slot + self.push
