"""Patterns as rows of a table, for a terminal."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from waybill.cli.terminal import fitted, printable
from waybill.core.pattern import Pattern

__all__ = ["HEAD", "RowOf", "need", "print_patterns", "rate_of", "row_of", "widths_of"]

HEAD = ("a minute", "records", "label", "message", "decided by", "conf.", "source")
#: Characters of each column in a terminal of 150 columns and more; the message takes the rest.
_WIDTHS = (9, 9, 26, 0, 24, 5, 18)
#: The same in a narrower one: a message is what one looks for.
_NARROW = (9, 8, 22, 0, 14, 5, 10)
_WIDE_COLUMNS = 150


class RowOf(NamedTuple):
    """One pattern in the columns of `HEAD`."""

    rate: str
    records: str
    label: str
    message: str
    by: str
    confidence: str
    source: str


def need(pattern: Pattern) -> int:
    """0: somebody must decide; 1: nobody was asked; 2: neither."""
    if pattern.is_undecided:
        return 0
    return 1 if pattern.kind == "not_asked" else 2


def rate_of(pattern: Pattern) -> float:
    """Records a minute since it was first seen, or since its records are counted."""
    begin = max(pattern.since, pattern.first_seen)
    return 60 * pattern.least / max(60.0, time.time() - begin)


def row_of(pattern: Pattern, rates: Mapping[str, float] | None = None) -> RowOf:
    """The row of a pattern; ``rates`` are records a minute by id, where they are known better."""
    rate = (rates or {}).get(pattern.id, rate_of(pattern))
    about = "~" if pattern.sampled else ""
    first = pattern.verdicts[0] if pattern.verdicts else None
    by = "-"
    confidence = "-"
    label = pattern.label or "-"
    if first is not None:
        by = first.reason or first.rule or first.tier
        if first.confidence is not None:
            confidence = f"{first.confidence:.2f}"
    if pattern.guess is not None:
        label += f" ({pattern.guess.label}?)"
    if pattern.is_mixed:
        label += f" +{len(pattern.verdicts) - 1}"
    sources = list(pattern.sources)
    source = sources[0] if sources else "-"
    if len(sources) > 1:
        source += f" +{len(sources) - 1}"
    figures = (f"{about}{rate:,.1f}", f"{pattern.least:,}")
    return RowOf(*map(printable, (*figures, label, pattern.mask, by, confidence, source)))


def print_patterns(patterns: Iterable[Pattern]) -> None:
    """A row for each; what follows the message is left out where there is no room for it."""
    widths = widths_of(shutil.get_terminal_size((150, 24)).columns)
    for cells in (HEAD, *map(row_of, patterns)):
        print(_line(cells[: len(widths)], widths))


def widths_of(columns: int) -> list[int]:
    """The widths of the columns of `HEAD` that a terminal has room for, a blank between two.

    >>> widths_of(120)
    [9, 8, 22, 46, 14, 5, 10]
    >>> widths_of(80)
    [9, 8, 22, 38]
    """
    return fitted(_WIDTHS if columns >= _WIDE_COLUMNS else _NARROW, columns)


def _line(cells: Iterable[str], widths: Iterable[int]) -> str:
    """One line; figures stand to the right."""
    parts: list[str] = []
    for number, (cell, wide) in enumerate(zip(cells, widths, strict=True)):
        shown = cell[:wide]
        parts.append(f"{shown:>{wide}}" if number < 2 else f"{shown:<{wide}}")
    return " ".join(parts).rstrip()
