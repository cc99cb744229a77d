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

__all__ = ["generate"]

#: Most examples of one template: beyond that only the prefix changes. Noise never repeats itself.
PER_TEMPLATE, PER_TEMPLATE_NONE = 60, 200
#: An expansion whose mask is there already is thrown away; so many are tried for each that is
#: wanted.
_ATTEMPTS = 3


def generate(corpus: Corpus, *, seed: int = 42, per_label: int = PER_LABEL) -> list[Example]:
    """Examples with distinct masks: about ``per_label`` times its share of each label, and more of
    the templates that have more alternatives.
    """
    by_label: dict[str, list[CorpusEntry]] = defaultdict(list)
    for entry in corpus.entries:
        by_label[entry.label].append(entry)
    seen: set[str] = set()
    examples: list[Example] = []
    for label in sorted(by_label):
        most = PER_TEMPLATE
        if label == corpus.fallback:
            most = PER_TEMPLATE_NONE
        weights = [1 + entry.text.count("|") for entry in by_label[label]]
        unit = per_label * corpus.balance_of(label).share / sum(weights)
        for entry, weight in zip(by_label[label], weights, strict=True):
            count = min(most, max(2, round(unit * weight)))
            rng = random.Random(f"{seed} {entry.group} {entry.text}")
            examples += _variants(corpus, entry, count, seen, rng)
    return examples


def _variants(
    corpus: Corpus, entry: CorpusEntry, count: int, seen: set[str], rng: random.Random
) -> Iterator[Example]:
    levels = corpus.balance_of(entry.label).levels.split()
    made = 0
    for attempt in range(count * _ATTEMPTS):
        text = expand(entry.text, corpus.slots, rng)
        if entry.label != corpus.fallback and attempt:  # the first stays bare
            text = framed(text, levels, corpus.slots, rng)
        key = mask(text)
        if key in seen:
            continue
        seen.add(key)
        yield Example(text, entry.label, entry.group, entry.software)
        made += 1
        if made == count:
            return
