"""The page that lists the software of the corpus: ``python -m waybill.learn.corpus.listing``.

It counts templates, not lines: how many lines a template gives is up to the training.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from waybill.core.labels import Taxonomy, read_taxonomy
from waybill.learn.corpus.entries import CorpusEntry, load_corpus
from waybill.learn.plan import CORPUS, FURTHER

__all__ = ["PAGE", "listing"]

#: Where the page lies in a checkout.
PAGE = Path("docs", "software.md")

_HEAD = """\
# Software in the corpus

Written by `python -m waybill.learn.corpus.listing` (`make generate`); do not edit.

A training learns from templates of log lines, written for this project; the shipped
[model](model-card.md) was trained on these. Group names that begin with
"generic" hold forms that many products share, and those that begin with "none" are no event at all.
"""


def listing(taxonomy: Taxonomy) -> str:
    """The page, in Markdown. Raises WaybillError for a corpus that cannot be read."""
    total = load_corpus(taxonomy, CORPUS, FURTHER).entries
    parts = [_HEAD, "## By label\n", _label_table(total, taxonomy)]
    parts += ["## By software\n", _software_table(total, taxonomy)]
    return "\n".join(parts)


def _label_table(entries: Iterable[CorpusEntry], taxonomy: Taxonomy) -> str:
    templates: Counter[str] = Counter()
    software: dict[str, set[str]] = defaultdict(set)
    everything: set[str] = set()
    for entry in entries:
        templates[entry.label] += 1
        software[entry.label].add(entry.software)
        everything.add(entry.software)
    lines = ["| label | templates | kinds of software |", "| --- | --- | --- |"]
    lines += [f"| {name} | {templates[name]} | {len(software[name])} |" for name in taxonomy.names]
    lines.append(f"| all | {templates.total()} | {len(everything)} |")
    return "\n".join(lines) + "\n"


def _software_table(entries: Iterable[CorpusEntry], taxonomy: Taxonomy) -> str:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in entries:
        found[entry.software][entry.label] += 1
    lines = ["| software | templates | labels |", "| --- | --- | --- |"]
    for software in sorted(found, key=str.lower):
        counts = found[software]
        labels = [f"{name} {counts[name]}" for name in taxonomy.names if counts[name]]
        lines.append(f"| {software} | {counts.total()} | {', '.join(labels)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    ROOT = Path(__file__).parents[4]
    PAGE_TEXT = listing(read_taxonomy(ROOT / "config" / "labels.yaml"))
    (ROOT / PAGE).write_text(PAGE_TEXT, "utf-8")
