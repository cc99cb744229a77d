"""The lines that an encoder is tuned on: a few of each template, and software left out of them all.

What is left out is what the tuned encoder, and the classifier on top of it, are measured on: on
lines that it was tuned on, an encoder looks better than it is.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from waybill.core.labels import read_taxonomy
from waybill.labelling.masking import mask
from waybill.labelling.model.reading import NEWEST_READING, read
from waybill.learn.corpus.entries import Corpus, CorpusEntry, load_corpus
from waybill.learn.corpus.expand import expand
from waybill.learn.corpus.frames import framed
from waybill.learn.plan import TuningPlan

__all__ = [
    "Part",
    "TuningLine",
    "own_part",
    "pack_part",
    "seen_names",
    "split_off",
    "tuning_epochs",
]

#: Level words that any line may have: a part of the lines gets one of these and not one of its
#: label's, so that severity is read from the words and not from the level alone.
_ANY_LEVEL = [
    "TRACE", "DEBUG", "INFO", "INFO", "NOTICE", "WARN", "WARN", "ERROR", "ERROR", "FATAL",
    "CRITICAL",
]  # fmt: skip
_ANY_LEVEL_SHARE = 0.3
#: Share of lines that get a frame; the others are the bare message.
_FRAMED_SHARE = 0.85
#: An expansion whose mask is there already is thrown away; so many are tried for each.
_ATTEMPTS = 3
#: Shuffles the names before every n-th is left out.
_SPLIT_SEED = "tune"


class TuningLine(NamedTuple):
    """A masked text, as the encoder reads it, and its label in one labelling.

    ``labelling`` is "" for the one that the bundle is for, else the name of a pack.
    """

    text: str
    label: str
    labelling: str = ""


class Split(NamedTuple):
    """The templates that are tuned on, and those that are left out."""

    tuned: list[CorpusEntry]
    left: list[CorpusEntry]


def split_off(corpus: Corpus, parts: int) -> Split:
    """Leave out every ``parts``-th kind of software, whole, and every ``parts``-th template of the
    fallback; nothing with ``parts`` 0.
    """
    if not parts:
        return Split(list(corpus.entries), [])
    of_fallback = [entry for entry in corpus.entries if entry.label == corpus.fallback]
    software = {entry.software for entry in corpus.entries}
    names = sorted(software.difference(entry.software for entry in of_fallback))
    random.Random(_SPLIT_SEED).shuffle(names)
    left_out = {*names[::parts], *(entry.group for entry in of_fallback[::parts])}
    split = Split([], [])
    for entry in corpus.entries:
        if _name(entry, corpus.fallback) in left_out:
            split.left.append(entry)
        else:
            split.tuned.append(entry)
    return split


def _name(entry: CorpusEntry, fallback: str) -> str:
    """The software of a template; one of the fallback has none and stands for itself."""
    return entry.group if entry.label == fallback else entry.software


class Part(NamedTuple):
    """The templates of one labelling that are tuned on; an epoch takes ``per_template`` lines of
    each. ``labelling`` as in `TuningLine`.
    """

    corpus: Corpus
    entries: Sequence[CorpusEntry]
    per_template: int
    labelling: str = ""


def own_part(corpus: Corpus, plan: TuningPlan) -> Part:
    """What is tuned on for the labelling that the bundle is for."""
    return Part(corpus, split_off(corpus, plan.left_out).tuned, plan.per_template)


def pack_part(pack: Path, plan: TuningPlan) -> Part:
    """What is tuned on for the labelling of a pack, a folder: its ``corpus`` and, where there is
    one, ``wide``, whose breadth an encoder gains most from.

    Raises WaybillError: labels or templates cannot be read.
    """
    wide = pack / "wide"
    further = [wide] if wide.is_dir() else []
    corpus = load_corpus(read_taxonomy(pack / "labels.yaml"), pack / "corpus", further)
    tuned = split_off(corpus, plan.left_out).tuned
    return Part(corpus, tuned, plan.per_pack_template, pack.name)


def seen_names(part: Part) -> set[str]:
    """The software of the templates, and the groups of those of the fallback."""
    return {_name(entry, part.corpus.fallback) for entry in part.entries}


def tuning_epochs(parts: Sequence[Part], plan: TuningPlan, run: int = 0) -> list[list[TuningLine]]:
    """Other lines for each epoch of each run, no mask of a labelling twice in a run: the same plan
    and corpora give the same lines.
    """
    seen: set[tuple[str, str]] = set()
    epochs: list[list[TuningLine]] = []
    for epoch in range(run * plan.epochs, (run + 1) * plan.epochs):
        lines: list[TuningLine] = []
        for part in parts:
            for entry in part.entries:
                rng = random.Random(f"tune{epoch} {entry.group} {entry.text}")
                lines += _variants(part, entry, plan, seen, rng)
        epochs.append(lines)
    return epochs


def _variants(
    part: Part,
    entry: CorpusEntry,
    plan: TuningPlan,
    seen: set[tuple[str, str]],
    rng: random.Random,
) -> Iterator[TuningLine]:
    corpus = part.corpus
    is_none = entry.label == corpus.fallback
    count = plan.per_none if is_none else part.per_template
    levels = corpus.balance_of(entry.label).levels.split()
    made = 0
    for _ in range(count * _ATTEMPTS):
        text = expand(entry.text, corpus.slots, rng)
        if not is_none and rng.random() < _FRAMED_SHARE:
            chosen = _ANY_LEVEL if rng.random() < _ANY_LEVEL_SHARE else levels
            text = framed(text, chosen, corpus.slots, rng)
        masked = mask(text)
        if (part.labelling, masked) in seen:
            continue
        seen.add((part.labelling, masked))
        yield TuningLine(read(masked, NEWEST_READING), entry.label, part.labelling)
        made += 1
        if made == count:
            return
