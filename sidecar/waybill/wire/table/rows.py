r"""Whole rows out of pieces of text, each with its own text, in linear time.

The rules are those of Python's ``csv`` module. Where a quote is never closed, or is closed only by
the quote that opens a later cell, the row ends with its line: what follows are rows again.

>>> reader = RowReader(Dialect(), 1000)
>>> reader.feed('a,"b\nc,"d"\n', is_last=True)[0]
(['a', 'b'], 'a,"b\n', 'its quote is never closed', 1)
"""

from __future__ import annotations

import csv
import io
import itertools
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from waybill.core.errors import MalformedError
from waybill.wire.table.dialect import CsvReader, Dialect, reader_of

__all__ = ["MOST_LINES", "UNCLOSED", "PlainRows", "RawRow", "RowReader"]

#: Cells, the text that they stand in with its line end, what is wrong with it, and its first line,
#: counted from 1: quotes span lines, so that lines and rows are not the same.
RawRow: TypeAlias = tuple[list[str], str, str | None, int]

#: Lines of one row: dumps of threads have some thousands. Where a quote is never closed, so many
#: rows come at once when that is found, and each takes hundreds of bytes.
MOST_LINES = 20_000
UNCLOSED = "its quote is never closed"


class PlainRows(NamedTuple):
    """Rows that each stand on one line and have no fault, column by column: a large file has
    millions of them, and no more is done for one than has to be.

    ``texts`` have no line end, ``end`` is the one that all of them have; ``line`` is the first
    line.
    """

    cells: list[list[str]]
    texts: list[str]
    end: str
    line: int

    def raw(self) -> list[RawRow]:
        """The same as `RowReader.feed` gives them."""
        numbers = itertools.count(self.line)
        return [
            (cells, text + self.end, None, number)
            for cells, text, number in zip(self.cells, self.texts, numbers, strict=False)
        ]


class RowReader:
    """Reads rows of one dialect; a row has at most ``limit_chars`` characters.

    ``first_line`` is the line of the file that what is fed begins with.
    """

    def __init__(self, dialect: Dialect, limit_chars: int, first_line: int = 1) -> None:
        self._dialect = dialect
        self._limit = limit_chars
        self._line = first_line
        self._parts: list[str] = []
        self._size = 0
        #: A row that is open is read again only when there is twice as much of it, so that the
        #: whole work stays linear.
        self._enough = 0
        self._has_ended = False

    @property
    def pending_chars(self) -> int:
        """How much text waits for the end of its row."""
        return self._size

    def plain(self, text: str) -> PlainRows | None:
        """The rows that ``text`` completes where all are plain; None, with nothing read, otherwise.

        What is not plain is given to `feed`. Lines are put to ``csv`` here at most once.
        """
        if self._enough or self._size + len(text) > self._limit or "\n" not in text:
            return None
        text = "".join((*self._parts, text))
        cut = text.rfind("\n") + 1
        whole = text[:cut]
        end = _one_end(whole)
        if end is None:
            return None
        texts = whole.split(end)
        texts.pop()
        try:
            cells = list(self._csv(iter(texts), is_strict=True))
        except csv.Error:
            return None
        if len(cells) != len(texts):
            return None
        found = PlainRows(cells, texts, end, self._line)
        self._line += len(texts)
        self._keep(text[cut:], is_open=False)
        return found

    def feed(self, text: str, is_last: bool = False) -> list[RawRow]:
        """The rows that ``text`` completes; a blank line is a row without cells.

        Raises:
            MalformedError: ``csv_row_too_large`` for a line past the limit.
        """
        self._parts.append(text)
        self._size += len(text)
        if not is_last and not self._may_complete(text):
            return []
        text = "".join(self._parts)
        cut = len(text)
        if not is_last:
            # A \r at the very end may be the half of \r\n.
            cut = max(text.rfind("\n"), text.rfind("\r", 0, -1)) + 1
        lines = list(io.StringIO(text[:cut], newline=""))
        rows, used = self._read(lines, self._line, is_last)
        rest = "".join(lines[used:]) + text[cut:]
        while used < len(lines) and self._is_too_much(rest, len(lines) - used):
            rows.append(self._alone(lines[used], self._line + used))
            more, count = self._read(lines[used + 1 :], self._line + used + 1, is_last)
            rows += more
            used += 1 + count
            rest = "".join(lines[used:]) + text[cut:]
        self._line += used
        self._keep(rest, is_open=used < len(lines))
        return rows

    def _is_too_much(self, rest: str, lines: int) -> bool:
        """Whether a row that is open has more than a row may have."""
        return len(rest) > self._limit or lines > MOST_LINES

    def _may_complete(self, text: str) -> bool:
        if self._size > self._limit:
            return True
        return self._size >= self._enough and ("\n" in text or "\r" in text)

    def _keep(self, rest: str, *, is_open: bool) -> None:
        if len(rest) > self._limit:
            raise MalformedError(
                "csv_row_too_large", f"a line has more than {self._limit} characters"
            )
        self._parts = [rest]
        self._size = len(rest)
        self._enough = 2 * len(rest) if is_open else 0

    def _read(self, lines: Sequence[str], first: int, is_last: bool) -> tuple[list[RawRow], int]:
        """The whole rows of ``lines``, the first of which is line ``first`` of the file, and how
        many lines they are.
        """
        rows: list[RawRow] = []
        at = 0
        while at < len(lines):
            base = at
            reader = self._csv(self._from(lines, at), is_strict=True)
            try:
                for cells in reader:
                    end = base + reader.line_num
                    raw = lines[at] if end == at + 1 else "".join(lines[at:end])
                    rows.append((cells, raw, None, first + at))
                    at = end
                break
            except csv.Error:
                if self._has_ended and not is_last:
                    break
                is_one_line = not self._has_ended and base + reader.line_num == at + 1
                rows.append(self._alone(lines[at], first + at, is_one_line=is_one_line))
                at += 1
        return rows, at

    def _alone(self, line: str, number: int, *, is_one_line: bool = False) -> RawRow:
        """A line as a row of its own. With ``is_one_line`` it is one if its quotes are closed."""
        cells = next(self._csv(self._from([line], 0), is_strict=False))
        if is_one_line and not self._has_ended:
            return cells, line, None, number
        cells[-1] = cells[-1].rstrip("\r\n")
        return cells, line, UNCLOSED, number

    def _from(self, lines: Sequence[str], at: int) -> Iterator[str]:
        """Lines from ``at``; notes when more are asked for than there are."""
        self._has_ended = False
        for i in range(at, len(lines)):
            yield lines[i]
        self._has_ended = True

    def _csv(self, lines: Iterator[str], *, is_strict: bool) -> CsvReader:
        # The limit of the module is for all its users; rows are bounded here.
        csv.field_size_limit(sys.maxsize)
        return reader_of(lines, self._dialect, is_strict=is_strict)


def _one_end(text: str) -> str | None:
    """The line end that all lines of ``text`` have; None where there are several, or none."""
    if "\r" not in text:
        return "\n" if text else None
    ends = text.count("\r\n")
    return "\r\n" if text.count("\r") == ends == text.count("\n") else None
