"""How a table is written: what stands between its cells and round them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["DELIMITERS", "Dialect", "cells_of", "find_dialect", "normal"]

#: What is looked for, the likelier first. Others can be named.
DELIMITERS = ",;\t|"
#: A first line of spreadsheets that names the delimiter and is no row.
_DECLARED = re.compile(r"\ufeff?\"?sep=(.)\"?(?:\r\n|\n|\r|$)", re.IGNORECASE)
_SAMPLE_CHARS = 64 << 10
_SAMPLE_ROWS = 50


@dataclass(frozen=True, slots=True)
class Dialect:
    """``preamble`` is a ``sep=`` line in front of the head, with its end; mostly empty."""

    delimiter: str = ","
    quote: str = '"'
    escape: str | None = None
    skips_blanks: bool = False
    preamble: str = ""


def cells_of(lines: Sequence[str], dialect: Dialect) -> list[list[str]]:
    """The rows of whole lines, leniently."""
    return list(
        csv.reader(
            lines,
            delimiter=dialect.delimiter,
            quotechar=dialect.quote,
            escapechar=dialect.escape,
            skipinitialspace=dialect.skips_blanks,
        )
    )


def normal(name: str) -> str:
    """The name of a column without what people vary: case, blanks and what joins its words.

    >>> normal(" Log Message") == normal("log_message") == normal("LogMessage")
    True
    """
    return re.sub(r"[\s_.\-\ufeff]+", "", name).lower()


def find_dialect(text: str, names: Sequence[str], delimiter: str | None = None) -> Dialect:
    """The dialect of a table that begins with ``text``; ``names`` are columns that its head is
    expected to have, ``delimiter`` what is known already.
    """
    declared = _DECLARED.match(text)
    preamble = ""
    if declared is not None:
        preamble = declared[0]
        delimiter = delimiter or declared[1]
    sample = text[len(preamble) : len(preamble) + _SAMPLE_CHARS].lstrip("\ufeff")
    lines = _whole_lines(sample)
    quote = "'" if re.match(r"\s*'[^'\r\n]*'\s*[,;\t|\r\n]", sample) else '"'
    wanted = {normal(name) for name in names}
    best = Dialect(delimiter or ",", quote, preamble=preamble)
    best_score = (False, False, 0.0, 0)
    for candidate in delimiter or DELIMITERS:
        found = _tuned(lines, Dialect(candidate, quote, preamble=preamble))
        score = _score(cells_of(lines, found), wanted)
        if score > best_score:
            best = found
            best_score = score
    return best


def _tuned(lines: Sequence[str], plain: Dialect) -> Dialect:
    """``plain`` with blanks behind delimiters or escaped quotes, where that makes rows whole."""
    sample = "".join(lines)
    if f"{plain.delimiter} {plain.quote}" in sample:
        skipping = Dialect(plain.delimiter, plain.quote, skips_blanks=True, preamble=plain.preamble)
        if _ragged(lines, skipping) < _ragged(lines, plain):
            plain = skipping
    if "\\" + plain.quote in sample:
        escaping = Dialect(
            plain.delimiter, plain.quote, "\\", plain.skips_blanks, preamble=plain.preamble
        )
        if _ragged(lines, escaping) < _ragged(lines, plain):
            return escaping
    return plain


def _ragged(lines: Sequence[str], dialect: Dialect) -> int:
    rows = [row for row in cells_of(lines, dialect) if row]
    return sum(len(row) != len(rows[0]) for row in rows)


def _score(rows: Sequence[Sequence[str]], wanted: set[str]) -> tuple[bool, bool, float, int]:
    """Better is more: the head has a column that is wanted, there are several columns, rows have as
    many cells as the head.
    """
    filled = [row for row in rows if row][:_SAMPLE_ROWS]
    if not filled:
        return (False, False, 0.0, 0)
    head = filled[0]
    is_named = any(normal(name) in wanted for name in head)
    if len(head) == 1:
        return (is_named, False, 0.0, 1)
    even = sum(len(row) == len(head) for row in filled) / len(filled)
    return (is_named, True, even, len(head))


def _whole_lines(sample: str) -> list[str]:
    lines = list(io.StringIO(sample, newline=""))
    if len(lines) > 1 and not lines[-1].endswith(("\r", "\n")):
        lines.pop()
    return lines[: 4 * _SAMPLE_ROWS]
