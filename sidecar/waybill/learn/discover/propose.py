"""Rules for groups of lines, each put to the service's own rule engine before it is proposed."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from waybill.core.errors import RuleSetError
from waybill.core.labels import Taxonomy
from waybill.core.turns import in_parts
from waybill.labelling.llm.errors import PrivacyError
from waybill.labelling.llm.privacy import Privacy
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.loading import compile_rules
from waybill.labelling.rules.ruleset import RuleSet
from waybill.learn.discover.clusters import Group
from waybill.learn.discover.forms import letters_of, pattern_of
from waybill.learn.discover.labels import Named
from waybill.learn.discover.seen import Seen, lines_of
from waybill.learn.proposals import Proposal, to_yaml

__all__ = ["Proposed", "hold", "make_proposal"]

_SAMPLES = 3
#: Letters that a pattern must spell out; less would match too much.
_LEAST_LETTERS = 12
_ID_WORDS, _ID_LETTERS = 4, 3
_PLACEHOLDER = re.compile("<(?:ip|id|secret|email|iban|card|phone|private)>")
#: Values for samples, of those that are set aside for documentation.
_STAND_INS = {
    "<ip>": "192.0.2.1",
    "<email>": "user@example.com",
    "<phone>": "0",
    "<id>": "0a0b0c0d",
}
#: Rules that are refused by the compiler are left out, and the rest is tried again, so often.
_TRIES = 5
#: Rules compiled at once, and the processor time that they may take: no record waits for it.
_TOGETHER, _COMPILE_SECS = 100, 120


class Proposed(msgspec.Struct):
    """A proposal with the group it is for; ``taken`` are the masks it matches, ``records`` theirs.

    ``by_rules`` counts the records that rules in force decide already, ``conflicts`` those to which
    they give another label, by rule and label.
    """

    proposal: Proposal
    group: Group
    named: Named
    taken: set[int] = msgspec.field(default_factory=set)
    records: int = 0
    by_rules: int = 0
    conflicts: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)


def make_proposal(
    group: Group, named: Named, seen: Sequence[Seen], privacy: Privacy, others: Iterable[str]
) -> Proposed | str:
    """The rule of a group, or the reason for leaving it out; it may match none of ``others``."""
    pattern = pattern_of(group.forms, group.records)
    if letters_of(pattern) < _LEAST_LETTERS:
        return "with too few words of their own"
    compiled = re.compile(pattern, re.ASCII)
    match = list(dict.fromkeys(_samples(group, seen, privacy, compiled)))[:_SAMPLES]
    if not match:
        return "without a line that may be shown and that the pattern still matches"
    no_match: list[str] = []
    for line in others:
        if len(no_match) < _SAMPLES and compiled.search(line) is None:
            no_match += _cleaned(line, privacy)[:1]
    where = None
    sources: Counter[str] = Counter()
    for index in group.members:
        sources.update(seen[index].sources)
    if len(sources) == 1 and not sources.keys() & {"", "*"}:
        where = {"source": list(sources)}
    proposal = Proposal(_id(group, pattern), named.label, pattern, "", match, no_match, where)
    return Proposed(proposal, group, named)


def _samples(
    group: Group, seen: Sequence[Seen], privacy: Privacy, pattern: re.Pattern[str]
) -> Iterator[str]:
    """Lines of a group, cleaned: a rule file is read by more people than a log."""
    for index in group.members[: 4 * _SAMPLES]:
        for text in seen[index].texts[:2]:
            for cleaned in _cleaned(text, privacy):
                if pattern.search(cleaned):
                    yield cleaned
                    break


def _cleaned(text: str, privacy: Privacy) -> list[str]:
    """The line as it may be shown: as it was cleaned, and with values for what was taken out."""
    try:
        cleaned = privacy.clean(text)
    except PrivacyError:
        return []
    filled = _PLACEHOLDER.sub(lambda found: _STAND_INS.get(found[0], "x"), cleaned)
    return [cleaned] if cleaned == filled else [cleaned, filled]


def _id(group: Group, pattern: str) -> str:
    words: list[str] = []
    for word in group.forms[0]:
        letters = re.sub(r"[^a-z]", "", word.lower())
        if len(letters) >= _ID_LETTERS:
            words.append(letters[:20])
    digest = hashlib.sha256(pattern.encode("utf-8", "replace")).hexdigest()[:6]
    return "-".join([*words[:_ID_WORDS], digest])


async def hold(
    made: Sequence[Proposed], seen: Sequence[Seen], labels: Sequence[str | None], taxonomy: Taxonomy
) -> tuple[list[Proposed], Counter[str]]:
    """The proposals that the engine takes and that take no line of another label.

    ``labels`` are those of all masks, None where nobody knows. Gives why others were left out, too.
    """
    left_out: Counter[str] = Counter()
    distinct = list({one.proposal.id: one for one in made}.values())
    kept: list[Proposed] = []
    missed: set[str] = set()
    for part in in_parts(distinct, _TOGETHER):
        rules, taken = await _compile(part, taxonomy, left_out)
        if rules is not None:
            _match(rules, taken, seen)
            kept += taken
    for one in kept:
        if not one.taken.issuperset(one.group.members):
            missed.add(one.proposal.id)
    held: list[Proposed] = []
    for one in kept:
        if one.proposal.id in missed:
            left_out["whose pattern misses some of their own lines"] += 1
        elif _is_greedy(one, labels):
            left_out["whose pattern takes lines of another label"] += 1
        else:
            _count(one, seen)
            held.append(one)
    return held, left_out


def _match(rules: RuleSet, proposed: Sequence[Proposed], seen: Sequence[Seen]) -> None:
    """Note which masks each proposal takes, of the sources that it is meant for."""
    by_id = {one.proposal.id: one for one in proposed}
    for index, text in lines_of(seen):
        for rule in rules.matching(text):
            if any(map(rule.fits, seen[index].sources)):
                by_id[rule.id].taken.add(index)


async def _compile(
    made: Sequence[Proposed], taxonomy: Taxonomy, left_out: Counter[str]
) -> tuple[RuleSet | None, list[Proposed]]:
    """The proposals as rules; those that the compiler refuses are left out."""
    kept = list(made)
    for _ in range(_TRIES):
        if not kept:
            break
        text = to_yaml([one.proposal for one in kept])
        try:
            file = RuleFile("proposed.yaml", text.encode("utf-8", "replace"))
            rules = await compile_rules([file], labels=taxonomy.names, cpu_secs=_COMPILE_SECS)
            return rules, kept
        except RuleSetError as error:
            refused = {fault.rule_id for fault in error.errors}
            rest = [one for one in kept if one.proposal.id not in refused]
            left_out["that the rule engine refuses"] += len(kept) - len(rest)
            if len(rest) == len(kept):
                raise
            kept = rest
    return None, []


def _is_greedy(one: Proposed, labels: Sequence[str | None]) -> bool:
    """Whether it takes a line that is not its own and has another label, or none that is known."""
    own = set(one.group.members)
    for index in one.taken:
        label = labels[index]
        if index not in own and label != one.named.label:
            return True
        if index in own and label is not None and label != one.named.label:
            return True
    return False


def _count(one: Proposed, seen: Sequence[Seen]) -> None:
    for index in one.taken:
        one.records += seen[index].count
        ruled = seen[index].ruled
        if ruled is not None:
            label, rule = ruled
            one.by_rules += seen[index].count
            if label != one.named.label:
                one.conflicts[rule, label] += seen[index].count
