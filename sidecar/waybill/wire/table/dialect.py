"""How a table is written: what stands between its cells and round them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

__all__ = [
    "DELIMITERS",
    "HEAD_ROWS",
    "CsvReader",
    "Dialect",
    "cells_of",
    "find_dialect",
    "has_name",
    "normal",
    "quoted_row",
    "reader_of",
    "row_text",
]

#: What is looked for, the likelier first. Others can be named.
DELIMITERS = ",;\t|"
#: What is looked for where a head with a wanted name is found only by it: unit separators of ASCII
#: and Hive, and what exports of databases take for being rare.
_RARE_DELIMITERS = "~^\x1f\x01\xa6"
#: A first line of spreadsheets that names the delimiter and is no row.
_DECLARED = re.compile(r"\ufeff?\"?sep=(.)\"?(?:\r\n|\n|\r|$)", re.IGNORECASE)
#: What names of columns are told apart without; the last ones have no width.
_VARIED = re.compile(r"[\s_.\-\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+")
_SAMPLE_CHARS = 64 << 10
_SAMPLE_ROWS = 50
#: The head is looked for in so many rows: a title or comments may stand above it.
HEAD_ROWS = 20


@dataclass(frozen=True, slots=True)
class Dialect:
    """``preamble`` is a ``sep=`` line in front of the head, with its end; mostly empty.

    ``quote`` None: nothing stands round cells, and quotes are text. ``above`` is how many rows that
    are not blank stand above the head: a title, comments.
    """

    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    skips_blanks: bool = False
    preamble: str = ""
    above: int = 0
    unnamed: int = 0


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
    return quoted_row(cells, dialect.delimiter, dialect.quote)


def quoted_row(cells: Iterable[object], delimiter: str = ",", quote: str = '"') -> str:
    """Cells as a row, without a line end; those that need quotes have them."""
    out = io.StringIO()
    # Cells with a character of the line's end get quotes, and no others with line ends.
    end = "\r\n"
    csv.writer(out, delimiter=delimiter, quotechar=quote, lineterminator=end).writerow(cells)
    return out.getvalue().removesuffix(end)


def _quoting(dialect: Dialect) -> Literal[0, 3]:
    return csv.QUOTE_NONE if dialect.quote is None else csv.QUOTE_MINIMAL


def normal(name: str) -> str:
    """The name of a column without what people vary: case, blanks, what joins its words, and what
    nobody sees.

    >>> normal(" Log Message") == normal("log_message") == normal("LogMessage")
    True
    """
    return _VARIED.sub("", name).lower()


def find_dialect(
    text: str,
    names: Sequence[str],
    delimiter: str | None = None,
    quote: str | None = None,
    *,
    sources: Sequence[str] = (),
    has_head: bool = True,
) -> Dialect:
    """The dialect of a table that begins with ``text``.

    Its head is expected to have one of ``names`` for the messages, and perhaps one of ``sources``.
    ``delimiter`` and ``quote`` are what is known already; a ``quote`` of ``""``: no quotes.
    """
    declared = _DECLARED.match(text)
    preamble = ""
    if declared is not None:
        preamble = declared[0]
        delimiter = delimiter or declared[1]
    sample = text[len(preamble) : len(preamble) + _SAMPLE_CHARS].lstrip("\ufeff")
    lines = _whole_lines(sample)
    messages = {normal(name) for name in names}
    wanted = messages.union(map(normal, sources))
    is_quote_known = quote is not None
    if quote is None:
        quote = "'" if re.match(r"\s*'[^'\r\n]*'\s*[,;\t|\r\n]", sample) else '"'
    plain = Dialect(delimiter or ",", quote or None, preamble=preamble)
    best = _best(lines, plain, delimiter or DELIMITERS, wanted)
    is_named = not has_head or _names_one(_first_row(lines, best), messages)
    if not is_named:
        rare = delimiter or DELIMITERS + _RARE_DELIMITERS
        below = _with_head_below(lines, plain, rare, messages)
        is_named = below is not None
        best = below or best
    if not is_quote_known:
        best = _with_single_quotes(lines, best)
    return best if is_named else replace(best, unnamed=_unnamed(lines, best))


def _unnamed(lines: Sequence[str], dialect: Dialect) -> int:
    """How many cells all rows have behind those that the head names: the event viewer of Windows
    gives the descriptions no name.
    """
    rows = [row for row in cells_of(lines, dialect) if row]
    width = len(rows[0]) if rows else 0
    widths = {len(row) for row in rows[1:]}
    if width < 2 or len(widths) != 1:
        return 0
    has_text = any("".join(row[width:]).strip() for row in rows[1:])
    return max(widths.pop() - width, 0) if has_text else 0


def _with_single_quotes(lines: Sequence[str], plain: Dialect) -> Dialect:
    """``plain`` with single quotes round cells, where that makes rows whole that are not."""
    sample = "".join(lines)
    if f"{plain.delimiter}'" not in sample or f'{plain.delimiter}"' in sample:
        return plain
    single = replace(plain, quote="'")
    return single if _ragged(lines, single) < _ragged(lines, plain) else plain


def _best(lines: Sequence[str], plain: Dialect, delimiters: str, wanted: set[str]) -> Dialect:
    best = plain
    best_score = (False, False, 0.0, 0)
    for delimiter in delimiters:
        found = _tuned(lines, replace(plain, delimiter=delimiter))
        score = _score(cells_of(lines, found), wanted)
        if score > best_score:
            best = found
            best_score = score
    return best


def has_name(text: str, names: Sequence[str], delimiter: str = "") -> bool:
    """Whether a cell of ``text`` is surely one of ``names``, whatever stands between cells."""
    wanted = {normal(name) for name in names}
    between = re.escape(DELIMITERS + _RARE_DELIMITERS + delimiter)
    cells = re.split(f"[{between}\r\n]", text)
    return any(normal(cell.strip(" \"'")) in wanted for cell in cells)


def _first_row(lines: Sequence[str], dialect: Dialect) -> list[str]:
    return next(filter(None, reader_of(lines, dialect)), [])


def _names_one(row: Sequence[str], wanted: set[str]) -> bool:
    return any(normal(name) in wanted for name in row)


def _with_head_below(
    lines: Sequence[str], plain: Dialect, delimiters: str, wanted: set[str]
) -> Dialect | None:
    """The dialect by which one of the first rows has a wanted name, most rows behind it have as
    many cells, and the rows above have not; None without such a row.
    """
    for delimiter in delimiters:
        dialect = _tuned(lines, replace(plain, delimiter=delimiter))
        rows = [row for row in cells_of(lines, dialect) if "".join(row).strip()]
        for at, head in enumerate(rows[:HEAD_ROWS]):
            if len(head) > 1 and _names_one(head, wanted) and _is_even(rows[at + 1 :], len(head)):
                return replace(dialect, above=at)
    return None


def _is_even(rows: Sequence[Sequence[str]], width: int) -> bool:
    even = sum(len(row) == width for row in rows)
    return 2 * even > len(rows)


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
    rows = [row for row in cells_of(lines, dialect) if row][dialect.above :]
    return sum(len(row) != len(rows[0]) for row in rows)


def _score(rows: Sequence[Sequence[str]], wanted: set[str]) -> tuple[bool, bool, float, int]:
    """Better is more: the head has a column that is wanted, there are several columns, rows have as
    many cells as the head.
    """
    filled = [row for row in rows if row][:_SAMPLE_ROWS]
    if not filled:
        return (False, False, 0.0, 0)
    head = filled[0]
    is_named = _names_one(head, wanted)
    if len(head) == 1:
        return (is_named, False, 0.0, 1)
    even = sum(len(row) == len(head) for row in filled) / len(filled)
    return (is_named, True, even, len(head))


def _whole_lines(sample: str) -> list[str]:
    lines = list(io.StringIO(sample, newline=""))
    if len(lines) > 1 and not lines[-1].endswith(("\r", "\n")):
        lines.pop()
    return lines[: 4 * _SAMPLE_ROWS]
