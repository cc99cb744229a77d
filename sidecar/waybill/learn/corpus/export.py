"""``waybill model corpus``: the expanded lines as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from waybill.core.labels import Taxonomy
from waybill.learn.corpus.entries import load_corpus
from waybill.learn.corpus.generate import generate

__all__ = ["write_corpus"]


def write_corpus(
    output: Path,
    folder: Path,
    taxonomy: Taxonomy,
    *,
    seed: int,
    per_label: int,
    extra: Sequence[Path] = (),
) -> str:
    """Write the CSV file ``output``; gives a sentence that says how much there is in it."""
    corpus = load_corpus(taxonomy, folder, extra)
    examples = generate(corpus, seed=seed, per_label=per_label)
    with output.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("source", "log_message", "target_label", "template"))
        writer.writerows((e.software, e.text, e.label, e.group) for e in examples)
    software = len({entry.software for entry in corpus.entries})
    return (
        f"{len(examples)} lines of {len(corpus.entries)} templates, {software} groups of software"
    )
