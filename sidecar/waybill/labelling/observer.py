"""The protocol of observers of labelling, such as the count of patterns (`waybill.patterns.watch`).

An observer never raises, takes a bounded time between two turns of the event loop, and keeps
nothing that it is given but what it copies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from waybill.core.records import Verdict


class Observer(Protocol):
    """Is told which messages got which verdicts."""

    def saw_at_once(
        self,
        messages: Sequence[str | None],
        sources: Sequence[str],
        verdicts: Sequence[Verdict],
        fresh: Sequence[int],
    ) -> None:
        """One slice of a batch got its verdicts without waiting.

        ``fresh`` are the indexes of what the exact memo did not know. What waits for a slow tier
        has the verdict `waybill.labelling.groups.UNDECIDED` still, and comes again by `saw_later`.
        """

    async def saw_later(
        self,
        masks: Mapping[str, Sequence[int]],
        messages: Sequence[str | None],
        sources: Sequence[str],
        verdicts: Sequence[Verdict],
    ) -> None:
        """The slow tiers of a route are done with a batch; ``masks`` lead to indexes."""

    def counted(self, given: Mapping[Verdict, int]) -> None:
        """A batch is labelled: how many of its records got each verdict, by either way."""

    def edition_changed(self) -> None:
        """Other rules or another model give the verdicts from now on."""
