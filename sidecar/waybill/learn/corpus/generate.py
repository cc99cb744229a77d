"""Expands the corpus by a seeded generator into examples with distinct masks."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator

from waybill.labelling.masking import mask
from waybill.learn.chain import Example
from waybill.learn.corpus.entries import Corpus, CorpusEntry
from waybill.learn.corpus.expand import expand
from waybill.learn.corpus.frames import framed
from waybill.learn.plan import PER_LABEL

__all__ = ["NONE_WEIGHT", "generate"]

#: Most examples of one template: beyond that only the prefix changes. Noise never repeats itself.
PER_TEMPLATE, PER_TEMPLATE_NONE = 60, 200
#: A folder beside the first is broader and has few alternatives in a template: it gets fewer lines.
FURTHER = 0.5
#: A line that is no event counts as so many: a fragment is seldom taken for one then, and no known
#: line is lost for it (docs/decisions/0056-members-without-values.md).
NONE_WEIGHT = 2.0
#: An expansion whose mask is there already is thrown away; so many are tried for each that is
#: wanted.
_ATTEMPTS = 3


def generate(corpus: Corpus, *, seed: int = 42, per_label: int = PER_LABEL) -> list[Example]:
    """Examples with distinct masks: about ``per_label`` times its share of each label from the
    first folder, `FURTHER` of that from each other one, and more of the templates that have more
    alternatives.
    """
    parts: dict[tuple[int, str], list[CorpusEntry]] = defaultdict(list)
    for entry in corpus.entries:
        parts[entry.folder, entry.label].append(entry)
    seen: set[str] = set()
    examples: list[Example] = []
    for folder, label in sorted(parts):
        most = PER_TEMPLATE
        if label == corpus.fallback:
            most = PER_TEMPLATE_NONE
        wanted = per_label * corpus.balance_of(label).share
        if folder:
            wanted *= FURTHER
        entries = parts[folder, label]
        weights = [1 + entry.text.count("|") for entry in entries]
        unit = wanted / sum(weights)
        for entry, weight in zip(entries, weights, strict=True):
            count = min(most, max(2, round(unit * weight)))
            rng = random.Random(f"{seed} {entry.group} {entry.text}")
            made = _variants(corpus, entry, count, seen, rng)
            examples.extend(made)
    return examples


def _variants(
    corpus: Corpus, entry: CorpusEntry, count: int, seen: set[str], rng: random.Random
) -> Iterator[Example]:
    levels = corpus.balance_of(entry.label).levels.split()
    weight = NONE_WEIGHT if entry.label == corpus.fallback else 1.0
    made = 0
    for attempt in range(count * _ATTEMPTS):
        text = expand(entry.text, corpus.slots, rng)
        if entry.label != corpus.fallback and attempt:  # the first stays bare
            text = framed(text, levels, corpus.slots, rng)
        key = mask(text)
        if key in seen:
            continue
        seen.add(key)
        yield Example(text, entry.label, entry.group, entry.software, weight, entry.folder)
        made += 1
        if made == count:
            return
