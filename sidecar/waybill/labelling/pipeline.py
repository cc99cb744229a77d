"""The labelling pipeline: a message and its source in, a verdict out, whatever happens.

    source -> route -> exact memo -> prepared text -> (corrections) -> rules -> memo of shapes
           -> memo of masks -> model -> (llm) -> Verdict

The exact memo knows messages as they came; everything behind it reads the prepared text
(`waybill.core.prepare`), so that colours, line ends and blanks decide nothing. Memo and rules
answer at once, in one pass over the batch. What they leave undecided is masked, deduplicated and
put to the slower tiers of its route, within a deadline. A tier that fails or is late costs a record
its label, never the record: the verdict then is ``Unclassified`` with the reason.

    >>> verdicts = await pipeline.label(["User User1 logged in."], ["ModernCRM"])
    >>> verdicts[0].label
    'User Action'
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from waybill.core.errors import NOT_OF_A_RECORD
from waybill.core.labels import Taxonomy
from waybill.core.letting_go import let_go
from waybill.core.reasons import RecordReason
from waybill.core.records import Verdict
from waybill.labelling.at_once import AtOnce, Slice, note_failure
from waybill.labelling.corrections.table import CorrectionTable, make_table
from waybill.labelling.edition import Edition
from waybill.labelling.groups import UNDECIDED
from waybill.labelling.later import decide_later
from waybill.labelling.marking import Marker
from waybill.labelling.masking import mask
from waybill.labelling.memo import RouteMemo
from waybill.labelling.observer import Observer
from waybill.labelling.route import make_routes
from waybill.labelling.rules.ruleset import RuleSet
from waybill.labelling.slices import find_groups, slices
from waybill.labelling.slow_path import SlowPath
from waybill.labelling.telemetry import Silent, Telemetry
from waybill.labelling.texts import ReadTexts, read_texts
from waybill.labelling.tier import Tier
from waybill.settings.schema import Settings

#: Records handled between two turns of the event loop (about 4 ms of rules and memo), and
#: characters (about 3 ms of rules).
_SLICE = 4096
_SLICE_CHARS = 512 << 10


class Pipeline:
    """Labels batches; holds the current edition and swaps it when rules or model change."""

    def __init__(
        self,
        settings: Settings,
        rules: RuleSet,
        tiers: Mapping[str, Tier],
        telemetry: Telemetry | None = None,
        *,
        taxonomy: Taxonomy,
        corrections: CorrectionTable | None = None,
        observer: Observer | None = None,
        masked: Callable[[str], str] = mask,
        read: ReadTexts = read_texts,
    ) -> None:
        """``masked`` gives the mask of a text, ``read`` the texts of messages: what several
        pipelines share that see the same messages.
        """
        #: The labels that records can get.
        self.taxonomy = taxonomy
        #: As of several labellings; see `waybill.labelling.several.BatchLabeller`.
        self.names: Sequence[str] = ()
        self._mask = masked
        self._settings = settings
        self._telemetry = telemetry or Silent()
        self._at_once = AtOnce(taxonomy, self._telemetry, read)
        #: Counts patterns; None: they are not counted.
        self.observer = observer
        self._marker: Marker | None = None
        if settings.fields.pattern is not None:
            self._marker = Marker(settings.limits.message_bytes)
        self._tiers = dict(tiers)
        #: What people said, empty where they said nothing.
        self.corrections = make_table(()) if corrections is None else corrections
        self.edition = self._make_edition(rules, self._make_paths())

    @property
    def rules(self) -> RuleSet:
        """The rule set in force."""
        return self.edition.rules

    @property
    def passed(self) -> Mapping[RecordReason, Verdict]:
        """The verdict of a record that is not labelled, for each reason."""
        return self.taxonomy.passed

    def keep(self, verdict: Verdict, kept: Sequence[bool]) -> Verdict:
        """``verdict``, or that of a record that keeps the label it came with."""
        return self.passed["already_labelled"] if all(kept) else verdict

    def swap_rules(self, rules: RuleSet) -> None:
        """Put ``rules`` in force for every batch that begins from now on."""
        self._exchange(self._make_edition(rules, self.edition.paths))

    def swap_corrections(self, corrections: CorrectionTable) -> None:
        """Put ``corrections`` in force for every batch that begins from now on."""
        before = self.corrections
        self.corrections = corrections
        self._exchange(self._make_edition(self.edition.rules, self.edition.paths))
        let_go(before.kept())

    def swap_tier(self, tier: Tier) -> None:
        """Put ``tier`` in the place of its namesake; verdicts of the old one are forgotten."""
        self._tiers[tier.name] = tier
        self._exchange(self._make_edition(self.edition.rules, self._make_paths()))

    def _exchange(self, edition: Edition) -> None:
        """Put ``edition`` in force; what the old one kept goes in steps, after its last batch."""
        before = self.edition
        self.edition = edition
        let_go(before.kept())

    def _make_paths(self) -> list[SlowPath]:
        settings = self._settings
        routes = make_routes(settings.routes, self._tiers, self.taxonomy, settings.llm.sources)
        share = settings.memo.bytes // 2 // len(routes)
        return [SlowPath(route, RouteMemo(share), self._telemetry) for route in routes]

    def _make_edition(self, rules: RuleSet, paths: Sequence[SlowPath]) -> Edition:
        if self.observer is not None:
            self.observer.edition_changed()
        corrections = self.corrections if len(self.corrections) else None
        return Edition(rules, paths, self._settings.memo.bytes // 2, corrections)

    async def label(self, messages: Sequence[str | None], sources: Sequence[str]) -> list[Verdict]:
        """One verdict per message, in order; never raises for what is in a record."""
        edition = self.edition
        verdicts: list[Verdict] = []
        pace = edition.rules.pace
        chars = pace.chars(_SLICE_CHARS)
        for start, stop in slices(messages, lambda: pace.messages(_SLICE), chars):
            if start:
                await asyncio.sleep(0)
            groups = await find_groups(edition.groups, sources[start:stop])
            some = Slice(messages[start:stop], sources[start:stop], groups)
            verdicts += self._at_once.decide(edition, some, self.observer)
        if UNDECIDED in verdicts:
            await self._decide_later(edition, messages, sources, verdicts)
        if self._marker is not None:
            return await self._marker.mark(messages, verdicts)
        return verdicts

    def counted(self, given: Mapping[Verdict, int]) -> None:
        """Have the observer count how many records of a batch got each verdict."""
        if self.observer is None:
            return
        if self._marker is not None:
            given = self._marker.unmarked(given)
        self.observer.counted(given)

    async def _decide_later(
        self,
        edition: Edition,
        messages: Sequence[str | None],
        sources: Sequence[str],
        verdicts: list[Verdict],
    ) -> None:
        """Fill in what is `UNDECIDED`; where that raises, those records go on without a label."""
        try:
            asked = await decide_later(edition, self._mask, messages, sources, verdicts)
            if self.observer is not None:
                for masks in asked:
                    await self.observer.saw_later(masks, messages, sources, verdicts)
        except NOT_OF_A_RECORD:
            raise
        except Exception as error:  # noqa: BLE001 - counted and logged
            note_failure(self._telemetry, error, verdicts.count(UNDECIDED))
            for i, verdict in enumerate(verdicts):
                if verdict is UNDECIDED:
                    verdicts[i] = self.taxonomy.passed["record_failed"]
