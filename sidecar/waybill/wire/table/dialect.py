"""How a table is written: what stands between its cells and round them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = [
    "DELIMITERS",
    "CsvReader",
    "Dialect",
    "cells_of",
    "find_dialect",
    "normal",
    "reader_of",
    "row_text",
]

#: What is looked for, the likelier first. Others can be named.
DELIMITERS = ",;\t|"
#: A first line of spreadsheets that names the delimiter and is no row.
_DECLARED = re.compile(r"\ufeff?\"?sep=(.)\"?(?:\r\n|\n|\r|$)", re.IGNORECASE)
_SAMPLE_CHARS = 64 << 10
_SAMPLE_ROWS = 50


@dataclass(frozen=True, slots=True)
class Dialect:
    """``preamble`` is a ``sep=`` line in front of the head, with its end; mostly empty.

    ``quote`` None: nothing stands round cells, and quotes are text.
    """

    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    skips_blanks: bool = False
    preamble: str = ""


class CsvReader(Protocol):
    """What ``csv.reader`` gives."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


def reader_of(lines: Iterable[str], dialect: Dialect, *, is_strict: bool = False) -> CsvReader:
    """Reads rows of a dialect as Python's ``csv`` does."""
    return csv.reader(
        lines,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        quoting=_quoting(dialect),
        escapechar=dialect.escape,
        skipinitialspace=dialect.skips_blanks,
        strict=is_strict,
    )


def cells_of(lines: Sequence[str], dialect: Dialect) -> list[list[str]]:
    """The rows of whole lines, leniently."""
    return list(reader_of(lines, dialect))


def row_text(cells: Sequence[str], dialect: Dialect) -> str:
    """Cells as a row of the dialect, without a line end.

    Without quotes no cell can hold a delimiter or a line end: a blank stands for them.
    """
    if dialect.quote is None:
        ends = str.maketrans(dict.fromkeys((dialect.delimiter, "\r", "\n"), " "))
        return dialect.delimiter.join(cell.translate(ends) for cell in cells)
    out = io.StringIO()
    writer = csv.writer(
        out, delimiter=dialect.delimiter, quotechar=dialect.quote, lineterminator=""
    )
    writer.writerow(cells)
    return out.getvalue()


def _quoting(dialect: Dialect) -> Literal[0, 3]:
    return csv.QUOTE_NONE if dialect.quote is None else csv.QUOTE_MINIMAL


def normal(name: str) -> str:
    """The name of a column without what people vary: case, blanks and what joins its words.

    >>> normal(" Log Message") == normal("log_message") == normal("LogMessage")
    True
    """
    return re.sub(r"[\s_.\-\ufeff]+", "", name).lower()


def find_dialect(
    text: str, names: Sequence[str], delimiter: str | None = None, quote: str | None = None
) -> Dialect:
    """The dialect of a table that begins with ``text``; ``names`` are columns that its head is
    expected to have, ``delimiter`` and ``quote`` what is known already; ``quote`` ``""``: none.
    """
    declared = _DECLARED.match(text)
    preamble = ""
    if declared is not None:
        preamble = declared[0]
        delimiter = delimiter or declared[1]
    sample = text[len(preamble) : len(preamble) + _SAMPLE_CHARS].lstrip("\ufeff")
    lines = _whole_lines(sample)
    wanted = {normal(name) for name in names}
    if quote is None:
        quote = "'" if re.match(r"\s*'[^'\r\n]*'\s*[,;\t|\r\n]", sample) else '"'
    best = Dialect(delimiter or ",", quote or None, preamble=preamble)
    best_score = (False, False, 0.0, 0)
    for candidate in delimiter or DELIMITERS:
        found = _tuned(lines, Dialect(candidate, quote or None, preamble=preamble))
        score = _score(cells_of(lines, found), wanted)
        if score > best_score:
            best = found
            best_score = score
    return best


def _tuned(lines: Sequence[str], plain: Dialect) -> Dialect:
    """``plain`` with blanks behind delimiters or escaped quotes, where that makes rows whole."""
    quote = plain.quote
    if quote is None:
        return plain
    sample = "".join(lines)
    if f"{plain.delimiter} {quote}" in sample:
        skipping = Dialect(plain.delimiter, quote, skips_blanks=True, preamble=plain.preamble)
        if _ragged(lines, skipping) < _ragged(lines, plain):
            plain = skipping
    if "\\" + quote in sample:
        escaping = Dialect(
            plain.delimiter, quote, "\\", plain.skips_blanks, preamble=plain.preamble
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
