"""What two bundles answer to the same masked texts: of corrections, patterns and labelled lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from waybill.core.pattern import Pattern, pattern_id
from waybill.labelling.model.bundle import Bundle
from waybill.labelling.tier import Scope
from waybill.learn.arrays import Floats
from waybill.learn.embedding_cache import embed_cached

__all__ = ["Answers", "Flip", "Flips", "Followed", "compare", "count_flips", "count_followed"]

#: Corrections that are not followed, and patterns that flip, as many as a report names.
MOST_NAMED = 50


class Answers(NamedTuple):
    """The label that each bundle leaves of each text, its thresholds applied."""

    old: Sequence[str]
    new: Sequence[str]


class Followed(msgspec.Struct, frozen=True):
    """How many corrected masks each bundle labels as people said.

    ``contradicted`` are masks that the new one labels otherwise, with the label that was said and
    the label that it gives.
    """

    masks: int = 0
    old: int = 0
    new: int = 0
    contradicted: tuple[tuple[str, str, str], ...] = ()


class Flip(msgspec.Struct, frozen=True):
    """A pattern that gets another label from the new bundle; ``count`` are its records."""

    id: str
    mask: str
    old: str
    new: str
    count: int


class Flips(msgspec.Struct, frozen=True):
    """What would change on stored patterns, weighted by their records.

    ``records`` are those that the model decides, or leaves undecided; ``matrix`` counts them by the
    old and the new label. ``flipped`` have another label; those with a corrected mask are left
    out of all figures: to change is what they are for. ``patterns`` are the most frequent flips.
    """

    records: int = 0
    flipped: int = 0
    matrix: Mapping[str, Mapping[str, int]] = {}
    patterns: tuple[Flip, ...] = ()

    def share(self) -> float:
        """Of the records, in [0, 1]."""
        return self.flipped / self.records if self.records else 0.0

    def shares(self, least_share: float) -> dict[str, float]:
        """The share of each old label that flips; labels with less than ``least_share`` of all
        records are left out.
        """
        found: dict[str, float] = {}
        for label, row in self.matrix.items():
            total = sum(row.values())
            if total >= least_share * self.records:
                found[label] = 1 - row.get(label, 0) / total
        return found


def compare(
    old: Bundle,
    new: Bundle,
    texts: Sequence[str],
    *,
    threshold: float | None = None,
    cache: Path | None = None,
    threads: int = 2,
) -> Answers:
    """What both say of masked ``texts``; ``threshold`` is ``model.threshold`` where it is set.

    Raises TierUnavailable when an encoder that is a service stays away.
    """
    vectors = embed_cached(old.encoder, texts, cache, threads)
    answers_old = _answers(old, vectors, texts, threshold)
    if new.encoder_hash != old.encoder_hash:
        vectors = embed_cached(new.encoder, texts, cache, threads)
    return Answers(answers_old, _answers(new, vectors, texts, threshold))


def _answers(
    bundle: Bundle, vectors: Floats, texts: Sequence[str], threshold: float | None
) -> list[str]:
    policy = bundle.policy(threshold)
    predictions = bundle.classify(vectors, texts)
    return [policy.verdict(prediction, Scope()).label for prediction in predictions]


def count_followed(said: Mapping[str, str], answers: Answers) -> Followed:
    """``said`` are corrected masks and their labels, in the order of ``answers``."""
    contradicted: list[tuple[str, str, str]] = []
    for (mask, label), given in zip(said.items(), answers.new, strict=True):
        if given != label:
            contradicted.append((mask, label, given))
    return Followed(
        masks=len(said),
        old=_same(said.values(), answers.old),
        new=len(said) - len(contradicted),
        contradicted=tuple(contradicted[:MOST_NAMED]),
    )


def _same(one: Iterable[str], other: Iterable[str]) -> int:
    return sum(map(str.__eq__, one, other))


def asked_of_model(pattern: Pattern) -> int:
    """Records of the pattern that the model decided, or nobody; all where none is known."""
    if not pattern.verdicts:
        return pattern.count
    return sum(share.count for share in pattern.verdicts if share.tier in ("model", "none"))


def to_measure(patterns: Iterable[Pattern], said: Mapping[str, str]) -> list[Pattern]:
    """The patterns whose records a new model could flip without having been told to."""
    corrected = set(map(pattern_id, said))
    return [one for one in patterns if one.id not in corrected and asked_of_model(one)]


def count_flips(patterns: Sequence[Pattern], answers: Answers) -> Flips:
    """Compare ``answers`` to the masks of ``patterns``, which are those of `to_measure`."""
    matrix: dict[str, Counter[str]] = {}
    flips: list[Flip] = []
    for pattern, old, new in zip(patterns, answers.old, answers.new, strict=True):
        count = asked_of_model(pattern)
        matrix.setdefault(old, Counter())[new] += count
        if old != new:
            flips.append(Flip(pattern.id, pattern.mask, old, new, count))
    flips.sort(key=lambda flip: -flip.count)
    return Flips(
        records=sum(row.total() for row in matrix.values()),
        flipped=sum(flip.count for flip in flips),
        matrix=matrix,
        patterns=tuple(flips[:MOST_NAMED]),
    )
