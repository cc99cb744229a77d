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
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from waybill.core.errors import NOT_OF_A_RECORD
from waybill.core.labels import Taxonomy
from waybill.core.letting_go import let_go
from waybill.core.prepare import prepare_all
from waybill.core.reasons import RecordReason
from waybill.core.records import Verdict
from waybill.labelling.corrections.table import CorrectionTable, make_table
from waybill.labelling.edition import Edition
from waybill.labelling.groups import UNDECIDED, Decided, SourceGroup, are_same, by_group
from waybill.labelling.marking import Marker
from waybill.labelling.masking import mask
from waybill.labelling.memo import RouteMemo
from waybill.labelling.observer import Observer
from waybill.labelling.route import make_routes
from waybill.labelling.rules.ruleset import RuleSet
from waybill.labelling.slices import find_groups, slices
from waybill.labelling.slow_path import SlowPath
from waybill.labelling.telemetry import Silent, Telemetry
from waybill.labelling.tier import Tier
from waybill.settings.schema import Settings

log = logging.getLogger(__name__)
#: Records handled between two turns of the event loop (about 4 ms of rules and memo), and
#: characters (about 3 ms of rules).
_SLICE = 4096
_SLICE_CHARS = 512 << 10
#: Messages masked between two turns of the event loop, and their characters (about 3 ms).
_MASK_SLICE = 512
_MASK_SLICE_CHARS = 512 << 10


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
    ) -> None:
        #: The labels that records can get.
        self.taxonomy = taxonomy
        #: As of several labellings; see `waybill.labelling.several.Labeller`.
        self.names: Sequence[str] = ()
        self._mask = masked
        self._settings = settings
        self._telemetry = telemetry or Silent()
        #: Who counts patterns; None: nobody.
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
        turn = edition.rules.turn_messages
        chars = edition.rules.turn_chars(_SLICE_CHARS)
        for start, stop in slices(messages, lambda: turn(_SLICE), chars):
            if start:
                await asyncio.sleep(0)
            known = list(map(edition.groups.get, sources[start:stop]))
            if all(known):
                groups = cast("list[SourceGroup]", known)
            else:
                groups = await find_groups(edition.groups, sources[start:stop])
            verdicts += self._decide_apart(
                edition, messages[start:stop], sources[start:stop], groups
            )
        if UNDECIDED in verdicts:
            try:
                await self._decide_later(edition, messages, sources, verdicts)
            except NOT_OF_A_RECORD:
                raise
            except Exception as error:  # noqa: BLE001 - counted and logged
                self._note_failure(error, verdicts.count(UNDECIDED))
                failed = self.taxonomy.passed["record_failed"]
                verdicts = [failed if one is UNDECIDED else one for one in verdicts]
        if self._marker is not None:
            return await self._marker.mark(messages, verdicts)
        return verdicts

    def counted(self, given: Mapping[Verdict, int]) -> None:
        """Tell who counts patterns how many records of a batch got each verdict."""
        if self.observer is None:
            return
        self.observer.counted(given if self._marker is None else self._marker.unmarked(given))

    def _decide_apart(
        self,
        edition: Edition,
        messages: Sequence[str | None],
        sources: Sequence[str],
        groups: Sequence[SourceGroup],
    ) -> list[Verdict]:
        """`_decide_now`; where that raises, in halves, until a record that makes it raise is alone.

        That one goes on without a label, all others as if it had not been there.
        """
        try:
            return self._decide_now(edition, messages, sources, groups)
        except NOT_OF_A_RECORD:
            raise
        except Exception as error:  # noqa: BLE001 - counted and logged when its record is found
            if len(messages) == 1:
                self._note_failure(error, 1)
                return [self.taxonomy.passed["record_failed"]]
        half = len(messages) // 2
        return [
            *self._decide_apart(edition, messages[:half], sources[:half], groups[:half]),
            *self._decide_apart(edition, messages[half:], sources[half:], groups[half:]),
        ]

    def _note_failure(self, error: Exception, records: int) -> None:
        message = "labelling failed on records; they go on without a label"
        log.error(message, extra={"records": records}, exc_info=error)
        self._telemetry.tier_failed("rule", "failed")

    def _decide_now(
        self,
        edition: Edition,
        messages: Sequence[str | None],
        sources: Sequence[str],
        groups: Sequence[SourceGroup],
    ) -> list[Verdict]:
        """Exact memo, rules, memo of shapes: everything that needs no waiting."""
        begin = time.perf_counter()
        verdicts, blanks = self._known(messages, groups)
        missing = _places_of_none(verdicts)
        hits = len(messages) - len(missing)
        if hits == 0 and are_same(groups):
            unknown = cast("Sequence[str]", messages)
            verdicts = [*self._decide_unknown(edition, groups[0], unknown).verdicts]
        else:
            self._decide_some(edition, messages, groups, missing, verdicts)
        edition.note_hits(hits, len(messages))
        self._telemetry.memo_answered("exact", hits - blanks)
        self._telemetry.memo_answered("none", blanks)
        self._telemetry.tier_took("rule", time.perf_counter() - begin)
        decided_now = cast("list[Verdict]", verdicts)
        if self.observer is not None:
            self.observer.saw_at_once(messages, sources, decided_now, missing)
        return decided_now

    def _known(
        self, messages: Sequence[str | None], groups: Sequence[SourceGroup]
    ) -> tuple[list[Verdict | None], int]:
        """What the exact memo knows, and how many records have no message."""
        if all(messages) and are_same(groups):
            return list(map(groups[0].known, cast("Sequence[str]", messages))), 0
        blank: list[Verdict] = []
        no_message = self.taxonomy.passed["no_message"]
        verdicts = [
            group.known(message) if message is not None else _note_blank(blank, no_message)
            for group, message in zip(groups, messages, strict=True)
        ]
        return verdicts, len(blank)

    def _decide_some(
        self,
        edition: Edition,
        messages: Sequence[str | None],
        groups: Sequence[SourceGroup],
        missing: Sequence[int],
        verdicts: list[Verdict | None],
    ) -> None:
        """Decide what is ``missing``, and fill it in."""
        for group, indexes in by_group(groups, missing):
            # None among the messages has its verdict already. (No cast: it is a call per record.)
            unknown: list[str] = [messages[i] for i in indexes]  # type: ignore[misc]
            decided = self._decide_unknown(edition, group, unknown)
            for i, verdict in zip(indexes, decided.verdicts, strict=True):
                verdicts[i] = verdict

    def _decide_unknown(
        self, edition: Edition, group: SourceGroup, messages: Sequence[str]
    ) -> Decided:
        """Decide, and keep what was decided.

        A message on which the rule engine fails goes on without a label; its neighbours do not.
        """
        texts = prepare_all(messages, edition.rules.max_message_bytes)
        unconfirmed = edition.rules.unconfirmed
        try:
            decided = group.decide(texts)
        except Exception:  # noqa: BLE001 - counted, and the records go on without a label
            if len(messages) > 1:
                half = len(messages) // 2
                first = self._decide_unknown(edition, group, messages[:half])
                return first.joined(self._decide_unknown(edition, group, messages[half:]))
            self._telemetry.tier_failed("rule", "failed")
            self._telemetry.memo_answered("none", len(messages))
            return Decided([self.taxonomy.unclassified("rules_failed")] * len(messages))
        verdicts = decided.verdicts
        if "" in texts:
            no_message = self.taxonomy.passed["no_message"]
            verdicts[:] = [
                verdict if text else no_message
                for text, verdict in zip(texts, verdicts, strict=True)
            ]
        if edition.rules.unconfirmed == unconfirmed:
            # Else a rule was not asked that may be the one next time: nothing is kept.
            for i in range(0, len(messages), edition.keep_every):
                if verdicts[i] is not UNDECIDED:
                    group.keep(messages[i], verdicts[i])
        self._telemetry.memo_answered("corrections", decided.by_corrections)
        self._telemetry.memo_answered("rules", decided.by_rules)
        self._telemetry.memo_answered("shape", decided.by_shape)
        if not group.path.route.tiers:
            by_someone = decided.by_rules + decided.by_corrections
            self._telemetry.memo_answered("none", len(messages) - by_someone)
        return decided

    async def _decide_later(
        self,
        edition: Edition,
        messages: Sequence[str | None],
        sources: Sequence[str],
        verdicts: list[Verdict],
    ) -> None:
        """Put each distinct masked message to the slow tiers of its route; fill in ``verdicts``."""
        records: dict[SlowPath, dict[str, list[int]]] = {}
        undecided = [i for i, verdict in enumerate(verdicts) if verdict is UNDECIDED]
        texts: dict[int, str] = {}
        waiting = [messages[i] for i in undecided]
        for start, stop in slices(waiting, lambda: _MASK_SLICE, _MASK_SLICE_CHARS):
            if start:
                await asyncio.sleep(0)
            indexes = undecided[start:stop]
            found = [message or "" for message in waiting[start:stop]]
            prepared = prepare_all(found, edition.rules.max_message_bytes)
            for i, text in zip(indexes, prepared, strict=True):
                texts[i] = text
                of_path = records.setdefault(edition.groups[sources[i]].path, {})
                of_path.setdefault(self._mask(text), []).append(i)
        await asyncio.gather(
            *(path.decide(masks, texts, verdicts) for path, masks in records.items())
        )
        if self.observer is not None:
            for masks in records.values():
                await self.observer.saw_later(masks, messages, sources, verdicts)


def _places_of_none(verdicts: Sequence[Verdict | None]) -> Sequence[int]:
    """Where ``verdicts`` is None: mostly everywhere, or nowhere."""
    count = verdicts.count(None)
    if count == len(verdicts):
        return range(count)
    if count == 0:
        return ()
    return [i for i, verdict in enumerate(verdicts) if verdict is None]


def _note_blank(blank: list[Verdict], verdict: Verdict) -> Verdict:
    """The verdict of a record without message, counted: a pass over all records would cost more."""
    blank.append(verdict)
    return verdict
