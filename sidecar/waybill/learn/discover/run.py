"""``waybill rules discover``: rules for what is logged often, found without anybody naming it.

seen masks -> embeddings -> clusters -> lines of one form -> label -> pattern -> proposal
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from waybill.core.errors import ConfigError, RuleSetError, WaybillError
from waybill.core.labels import Taxonomy
from waybill.core.output import writing
from waybill.labelling.llm.privacy import Privacy
from waybill.labelling.model.answer import Prediction
from waybill.labelling.model.bundle import Bundle, load_bundle
from waybill.labelling.rules.ruleset import Rule
from waybill.learn.arrays import Floats
from waybill.learn.backtest.corrections import read_corrections
from waybill.learn.discover.clusters import Group, groups_of
from waybill.learn.discover.families import Families, families_of
from waybill.learn.discover.labels import Named, name_of, trusted_from
from waybill.learn.discover.propose import Proposed, hold, make_proposal
from waybill.learn.discover.seen import Seen, gather, known_labels, of_patterns
from waybill.learn.discover.show import describe, show
from waybill.learn.embedding_cache import embed_cached
from waybill.learn.messages import read_messages
from waybill.learn.proposals import to_yaml
from waybill.learn.recorded import are_patterns, read_recorded
from waybill.service.loading import bundle_folders
from waybill.service.reading_rules import read_rules
from waybill.settings.schema import Settings
from waybill.settings.taxonomy import read_labels

__all__ = ["DiscoverPlan", "Discovered", "discover", "write_discovered"]

_HEADER = """\
# Proposed by `waybill rules discover`. Read, edit, and move what you accept to your rules. In
# shadow mode they are counted and decide nothing; `mode: enforce` puts one in force.
"""
#: Nearest groups that samples of what must not match are looked for in.
_NEAREST = 12


class DiscoverPlan(NamedTuple):
    """Where lines come from, what is known of their labels, and which groups become rules.

    ``source`` is a file of messages or patterns, or a sidecar's address. Groups with fewer than
    ``at_least`` records are left out; the ``most_masks`` most frequent masks are looked at.
    ``labelling`` is as in a backtest.
    """

    source: str
    corrections: tuple[Path, ...] = ()
    labelled: Path | None = None
    at_least: int = 5
    most_masks: int = 5_000
    mode: str = "shadow"
    is_uncovered_only: bool = False
    labelling: str = ""


class Discovered(NamedTuple):
    """The proposals, most records first, and why other groups became none."""

    proposals: list[Proposed]
    left_out: Counter[str]
    records: int
    masks: int
    not_looked_at: int


def discover(plan: DiscoverPlan, settings: Settings) -> Discovered:
    """Find the proposals.

    Raises:
        ConfigError: rules or model cannot be used.
        WaybillError: a file cannot be read, or a library is missing.
    """
    taxonomy = read_labels(settings.labels.path)
    seen, rest = _read(plan, settings)
    records = sum(one.count for one in seen) + rest
    families = families_of(seen, plan.most_masks)
    looked_at = families.seen
    if not looked_at:
        raise WaybillError(f"{plan.source}: no message was found")
    corrections = read_corrections(plan.corrections, plan.labelling)
    lines = read_messages(plan.labelled, settings.fields) if plan.labelled is not None else ()
    known_labels(looked_at, corrections, lines)
    _note_rules(settings, taxonomy, looked_at)
    bundle = _bundle(settings, taxonomy)
    masks = families.first_masks()
    vectors = embed_cached(bundle.encoder, masks, None, settings.model.threads)
    of_family = bundle.classify(vectors, masks)
    predictions = [of_family[number] for number in families.family]
    privacy = Privacy(settings.llm.private_patterns)
    groups = groups_of(families, vectors, plan.at_least, privacy)
    made, left_out = _make(plan, privacy, taxonomy, families, groups, vectors, predictions)
    labels = _labels(families, predictions, bundle)
    held, refused = asyncio.run(hold(made, looked_at, labels, taxonomy))
    kept = list(_without_twins(held, plan))
    for one in kept:
        one.proposal.mode = plan.mode
        one.proposal.description = describe(one, records)
    beyond = records - sum(one.count for one in looked_at)
    return Discovered(kept, left_out + refused, records, len(looked_at), beyond)


def write_discovered(found: Discovered, output: str | None, at_least: int) -> None:
    """The proposals as YAML to ``output`` or stdout, and a table to stderr."""
    text = _HEADER + to_yaml([one.proposal for one in found.proposals])
    with writing(output or "-") as file:
        file.write(text.encode("utf-8", "replace"))
    print(show(found.proposals, found.left_out, found.records, at_least), file=sys.stderr)
    if found.not_looked_at:
        print(
            f"{found.not_looked_at:,} records of rarer masks were not looked at: --most-masks",
            file=sys.stderr,
        )


def _read(plan: DiscoverPlan, settings: Settings) -> tuple[list[Seen], int]:
    if are_patterns(plan.source):
        return of_patterns(read_recorded(plan.source, plan.labelling)), 0
    return gather(read_messages(plan.source, settings.fields))


def _note_rules(settings: Settings, taxonomy: Taxonomy, seen: Iterable[Seen]) -> None:
    """Note which masks a rule in force decides: all of their lines, from every source."""
    try:
        rules = asyncio.run(read_rules(settings, taxonomy))
    except RuleSetError as error:
        raise ConfigError(error.problems) from None
    for one in seen:
        found: dict[str, Rule | None] = {}
        for source in one.sources:
            for rule in rules.first_matches(one.texts, rules.allowed_for(source, None)):
                found[rule.id if rule is not None else ""] = rule
        first = next(iter(found.values()))
        if len(found) == 1 and first is not None:
            one.ruled = first.label, first.id


def _bundle(settings: Settings, taxonomy: Taxonomy) -> Bundle:
    folders = bundle_folders(settings)
    if not folders:
        raise ConfigError(["model.path: null, but its encoder tells which messages are alike"])
    return load_bundle(folders[0], taxonomy=taxonomy)


def _make(
    plan: DiscoverPlan,
    privacy: Privacy,
    taxonomy: Taxonomy,
    families: Families,
    groups: Sequence[Group],
    vectors: Floats,
    predictions: Sequence[Prediction],
) -> tuple[list[Proposed], Counter[str]]:
    """A proposal for each group of enough records whose label somebody knows."""
    seen = families.seen
    left_out: Counter[str] = Counter()
    made: list[Proposed] = []
    for group, named in _named(groups, families, predictions, taxonomy.fallback):
        if sum(seen[index].count for index in group.members) < plan.at_least:
            left_out[f"with fewer than {plan.at_least} records"] += 1
            continue
        found: Proposed | str
        if isinstance(named, str):
            found = named
        else:
            others = _nearest(group, families, vectors)
            found = make_proposal(group, named, seen, privacy, others)
        if isinstance(found, str):
            left_out[found] += 1
        else:
            made.append(found)
    return made, left_out


def _named(
    groups: Sequence[Group],
    families: Families,
    predictions: Sequence[Prediction],
    fallback: str,
) -> Iterator[tuple[Group, Named | str]]:
    """Each group with its label, or with why it has none."""
    judged: list[tuple[str, Prediction]] = []
    for label, start in zip(families.said(), families.starts, strict=True):
        if label is not None:
            judged.append((label, predictions[start]))
    trusted = trusted_from(judged)
    by_cluster: dict[int, set[int]] = {}
    for group in groups:
        by_cluster.setdefault(group.cluster, set()).update(group.members)
    for group in groups:
        alike = families.alike(group.members)
        near = by_cluster[group.cluster]
        named = name_of(group.members, alike, near, families.seen, predictions, fallback, trusted)
        yield group, named


def _nearest(group: Group, families: Families, vectors: Floats) -> Iterator[str]:
    """Lines of the masks nearest to a group, not its own: the best proof of what must not match."""
    own = {families.family[index] for index in group.members}
    likeness = vectors @ vectors[families.family[group.members[0]]]
    count = min(len(own) + _NEAREST, len(likeness))
    nearest = likeness.argpartition(-count)[-count:]
    for number in nearest[likeness[nearest].argsort()[::-1]].tolist():
        if number not in own:
            yield families.seen[families.starts[number]].texts[0]


def _labels(
    families: Families, predictions: Sequence[Prediction], bundle: Bundle
) -> list[str | None]:
    """What is known, or thought, of each mask: by people, of it or of those that read like it; by
    rules, by a sure model.
    """
    labels: list[str | None] = []
    fallback = bundle.policy().fallback
    said = families.said()
    for one, family, prediction in zip(families.seen, families.family, predictions, strict=True):
        label: str | None = bundle.answer(prediction)
        if label == fallback:
            label = None
        label = said[family] or label
        if one.ruled is not None:
            label = one.ruled[0]
        if one.labels:
            label = one.labels.most_common(1)[0][0]
        labels.append(label)
    return labels


def _without_twins(held: Sequence[Proposed], plan: DiscoverPlan) -> Iterator[Proposed]:
    """Most records first, without those whose records an earlier one takes, too."""
    taken: set[int] = set()
    for one in sorted(held, key=lambda one: (-one.records, one.proposal.id)):
        if plan.is_uncovered_only and one.by_rules == one.records:
            continue
        if not one.taken <= taken:
            taken |= one.taken
            yield one
