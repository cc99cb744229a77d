"""The contract of a slow tier: the model, the language model, and whatever comes next.

The pipeline asks each tier of a route in turn for what is still undecided. A tier never raises for
a text and never loses one: it gives one future per text, at once and in order. ``tests/contract``
runs one suite over every implementation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import msgspec

from waybill.core.names import SlowTierName
from waybill.core.records import Verdict

#: What a tier owes for a text: a verdict, None (it does not decide this one), or `TierUnavailable`.
Answer = asyncio.Future[Verdict | None]


class Scope(msgspec.Struct, frozen=True):
    """What a route lets its tiers answer; ``labels`` None means all, ``sources`` are patterns."""

    labels: frozenset[str] | None = None
    sources: tuple[str, ...] = ("*",)

    def permits(self, label: str) -> bool:
        """Whether ``label`` may be answered."""
        return self.labels is None or label in self.labels


class Tier(Protocol):
    """A tier that answers later."""

    #: As it stands in verdicts, reasons and metrics.
    name: SlowTierName
    #: Of what decides; a verdict's ``rule``.
    version: str
    #: How long a batch waits for it, in seconds.
    wait_secs: float
    #: Of a batch with more texts at once it takes none (``overloaded``).
    most_texts: int

    def submit(self, texts: Sequence[str], scope: Scope) -> Sequence[Answer]:
        """One `Answer` per masked text, in order; equal texts may share one.

        A batch of many comes in several calls, between which others have their turn.

        A verdict's label is one that ``scope`` permits, or ``Unclassified`` with a reason. A future
        may resolve long after ``wait_secs``: its verdict then serves the next batch.

        Raises:
            TierUnavailable: none of the texts is taken (``overloaded``, ``closed``).
        """
        ...

    async def consult(self, text: str, scope: Scope) -> Verdict | None:
        """What it would say of one text, for a person who asks why.

        Nothing is kept, counted or paid for. Raises TierUnavailable.
        """
        ...

    async def close(self) -> None:
        """Take no more; every open future ends with `TierUnavailable` (``closed``).

        May be repeated.
        """
        ...
