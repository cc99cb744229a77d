"""What can be decided without waiting: by the exact memo, by corrections, rules and known shapes.

    slices of a batch -> AtOnce.decide -> verdicts, `UNDECIDED` where only a slow tier can tell

Whatever a record makes go wrong costs that record its label, and no other.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import NamedTuple, cast

from waybill.core.errors import NOT_OF_A_RECORD
from waybill.core.labels import Taxonomy
from waybill.core.records import Verdict
from waybill.labelling.edition import Edition
from waybill.labelling.groups import UNDECIDED, Decided, SourceGroup, are_same, by_group
from waybill.labelling.observer import Observer
from waybill.labelling.telemetry import Telemetry
from waybill.labelling.texts import ReadTexts, Texts

__all__ = ["AtOnce", "Slice", "note_failure"]

log = logging.getLogger(__name__)


class Slice(NamedTuple):
    """Some records of a batch, one behind the other: message, source and group of each."""

    messages: Sequence[str | None]
    sources: Sequence[str]
    groups: Sequence[SourceGroup]

    def part(self, start: int, stop: int) -> Slice:
        """The records from ``start`` to ``stop``."""
        return Slice(self.messages[start:stop], self.sources[start:stop], self.groups[start:stop])


class AtOnce:
    """Decides slices of batches, one in one turn of the event loop.

    ``read`` gives the texts of messages.
    """

    def __init__(self, taxonomy: Taxonomy, telemetry: Telemetry, read: ReadTexts) -> None:
        self._taxonomy = taxonomy
        self._telemetry = telemetry
        self._read = read

    def decide(self, edition: Edition, records: Slice, observer: Observer | None) -> list[Verdict]:
        """One verdict per record.

        Where that raises, in halves, until a record that makes it raise is alone: that one goes on
        without a label, all others as if it had not been there.
        """
        count = len(records.messages)
        try:
            return self._decide(edition, records, observer)
        except NOT_OF_A_RECORD:
            raise
        except Exception as error:  # noqa: BLE001 - counted and logged when its record is found
            if count == 1:
                note_failure(self._telemetry, error, 1)
                return [self._taxonomy.passed["record_failed"]]
        half = count // 2
        return [
            *self.decide(edition, records.part(0, half), observer),
            *self.decide(edition, records.part(half, count), observer),
        ]

    def _decide(self, edition: Edition, records: Slice, observer: Observer | None) -> list[Verdict]:
        begin = time.perf_counter()
        messages, sources, groups = records
        blanks = 0 if all(messages) else messages.count(None)
        verdicts = self._known(messages, groups, has_blanks=blanks > 0)
        missing = _places_of_none(verdicts)
        hits = len(messages) - len(missing)
        if hits == 0 and are_same(groups):
            unknown = cast("Sequence[str]", messages)
            verdicts = [*self._decide_unknown(edition, groups[0], unknown).verdicts]
        else:
            self._decide_some(edition, records, missing, verdicts)
        edition.note_hits(hits, len(messages))
        self._telemetry.memo_answered("exact", hits - blanks)
        self._telemetry.memo_answered("none", blanks)
        self._telemetry.tier_took("rule", time.perf_counter() - begin)
        decided = cast("list[Verdict]", verdicts)
        if observer is not None:
            observer.saw_at_once(messages, sources, decided, missing)
        return decided

    def _known(
        self,
        messages: Sequence[str | None],
        groups: Sequence[SourceGroup],
        *,
        has_blanks: bool,
    ) -> list[Verdict | None]:
        """What the exact memo knows; ``has_blanks``: some records have no message."""
        if not has_blanks and are_same(groups):
            return list(map(groups[0].known, cast("Sequence[str]", messages)))
        no_message = self._taxonomy.passed["no_message"]
        return [
            group.known(message) if message is not None else no_message
            for group, message in zip(groups, messages, strict=True)
        ]

    def _decide_some(
        self,
        edition: Edition,
        records: Slice,
        missing: Sequence[int],
        verdicts: list[Verdict | None],
    ) -> None:
        """Decide what is ``missing``, and fill it in."""
        messages = records.messages
        for group, indexes in by_group(records.groups, missing):
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
        texts = self._read(messages, edition.rules.max_message_bytes)
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
            return Decided([self._taxonomy.unclassified("rules_failed")] * len(messages))
        self._pass_blank(texts, decided.verdicts)
        if edition.rules.unconfirmed == unconfirmed:
            # Else a rule was not asked that may be the one next time: nothing is kept.
            _keep(group, messages, decided.verdicts, edition.keep_every)
        self._count(group, decided)
        return decided

    def _pass_blank(self, texts: Texts, verdicts: list[Verdict]) -> None:
        """Texts that are empty once they are prepared count as no messages."""
        if "" not in texts.prepared:
            return
        no_message = self._taxonomy.passed["no_message"]
        for i, text in enumerate(texts.prepared):
            if not text:
                verdicts[i] = no_message

    def _count(self, group: SourceGroup, decided: Decided) -> None:
        telemetry = self._telemetry
        telemetry.memo_answered("corrections", decided.by_corrections)
        telemetry.memo_answered("rules", decided.by_rules)
        telemetry.memo_answered("shape", decided.by_shape)
        if not group.path.route.tiers:
            by_someone = decided.by_rules + decided.by_corrections
            telemetry.memo_answered("none", len(decided.verdicts) - by_someone)


def note_failure(telemetry: Telemetry, error: Exception, records: int) -> None:
    """Count and log that labelling so many records raised ``error``."""
    message = "labelling failed on records; they go on without a label"
    log.error(message, extra={"records": records}, exc_info=error)
    telemetry.tier_failed("rule", "failed")


def _keep(
    group: SourceGroup, messages: Sequence[str], verdicts: Sequence[Verdict], every: int
) -> None:
    """Keep what was decided of one message in so many."""
    for i in range(0, len(messages), every):
        if verdicts[i] is not UNDECIDED:
            group.keep(messages[i], verdicts[i])


def _places_of_none(verdicts: Sequence[Verdict | None]) -> Sequence[int]:
    """Where ``verdicts`` is None: mostly everywhere, or nowhere."""
    count = verdicts.count(None)
    if count == len(verdicts):
        return range(count)
    if count == 0:
        return ()
    return [i for i, verdict in enumerate(verdicts) if verdict is None]
