"""A table on its way through: bytes in, rows out, the same bytes with labels beside them.

Every row comes out with its own text and our cells behind it, in its own encoding, delimiter and
line end. Two kinds of rows are written anew, as our cells would not stand under their names
otherwise: those with more cells than the head, and those with a quote that is never closed.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence

from waybill.core.errors import MalformedError
from waybill.core.prepare import is_blank
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire.table.columns import Choice, Columns
from waybill.wire.table.dialect import HEAD_ROWS, Dialect, find_dialect, has_name, row_text
from waybill.wire.table.encoding import TextDecoder, replaced
from waybill.wire.table.faults import FaultKind
from waybill.wire.table.row import Row
from waybill.wire.table.rows import PlainRows, RawRow, RowReader
from waybill.wire.table.written import Written

__all__ = ["Row", "Table"]

#: The head is not waited for in more.
_HEAD_CHARS = 16 << 10
#: The end mark of DOS.
_EOF = "\x1a"
#: `Row._make` is a call of Python more for each row.
_make_row = functools.partial(tuple.__new__, Row)


class Table:
    """Reads one table and writes it back; ``limit_chars`` bounds a row.

    ``further`` are the fields of further labellings: each has columns of its own.
    """

    def __init__(
        self,
        fields: FieldSettings,
        choice: Choice,
        limit_chars: int,
        *,
        needs_message: bool = True,
        further: Sequence[FieldSettings] = (),
    ) -> None:
        """Without ``needs_message`` a head may have no column for messages.

        Raises:
            MalformedError: ``csv_encoding`` for an encoding that is not known.
        """
        self._fields = fields
        self._further = further
        self._choice = choice
        self._limit = limit_chars
        self._needs_message = needs_message
        self.decoder = TextDecoder(choice.encoding)
        self.dialect = Dialect()
        self._start: list[str] = []
        self._start_chars = 0
        #: A start without a head is looked at again only when there is twice as much of it.
        self._enough = 0
        self._reader: RowReader | None = None
        self._columns: Columns | None = None
        self._width = 0
        #: What stands in front of the head: a byte order mark, a ``sep=`` line, blank lines.
        self._before = ""
        #: So many rows above the head are not read yet.
        self._above = 0
        self._head = ("", "\n")
        self._count = 0
        self._was_whole = True
        self._written: Written | None = None

    @property
    def columns(self) -> Columns:
        """What the head says. Raises MalformedError before there is one."""
        if self._columns is None:
            raise MalformedError("csv_columns", "the file is empty")
        return self._columns

    @property
    def has_head(self) -> bool:
        """Whether the head was read."""
        return self._columns is not None

    def describe(self) -> str:
        """A sentence about how the table is read, whatever of it is a guess."""
        columns = ", ".join(f"{what} {name!r}" for what, name in self.columns.describe().items())
        told = (
            f"{self.decoder.describe()}, delimiter {self.dialect.delimiter!r}, columns: {columns}"
        )
        if self.dialect.above:
            rows = "row" if self.dialect.above == 1 else "rows"
            told += f"; in front of the head: {self.dialect.above} {rows}, kept"
        return told

    @property
    def pending_chars(self) -> int:
        """How much text waits for the end of its row."""
        return self._reader.pending_chars if self._reader else self._start_chars

    def feed(self, data: bytes, is_last: bool = False) -> list[Row]:
        """The rows that ``data`` completes.

        Raises:
            MalformedError: ``csv_columns`` without a column for messages or without a head,
                ``csv_row_too_large``, ``csv_encoding``.
        """
        text = self.decoder.feed(data, is_last)
        if self._reader is None:
            text = self._begin(text, is_last)
            if self._reader is None:
                return []
        # The end of the input is small or rare.
        plain = None if is_last else self._reader.plain(text)
        if plain is None:
            rows = self._reader.feed(text, is_last)
        elif self._suits(plain, text):
            return self._plain_rows(plain)
        else:
            rows = plain.raw()
        is_whole = self._was_whole and _is_whole(text)
        # What waits for its end may hold text of earlier pieces.
        is_new = self._reader.pending_chars <= len(text)
        self._was_whole = _is_whole(text) if is_new else is_whole
        if self._columns is None:
            rows = self._without_head(rows)
        found = self._rows(rows, is_whole)
        if is_last and self._columns is None:
            raise MalformedError("csv_columns", "the file is empty")
        return found

    def head(self) -> bytes:
        """The head with our columns; of a table without one what stands in front of its rows."""
        if not self._choice.has_head:
            return self.decoder.encode(self._before)
        text, end = self._head
        return self.decoder.encode(f"{self._before}{self._writer.head(text)}{end}")

    def labelled(self, rows: Sequence[Row], verdicts: Sequence[Verdict]) -> bytes:
        """The rows with our cells."""
        return self.decoder.encode(self._writer.rows(rows, verdicts))

    @property
    def _writer(self) -> Written:
        if self._written is None:
            self._written = Written(
                self.columns, self.dialect, self.decoder, self._fields, self._further
            )
        return self._written

    def rest(self) -> bytes:
        """What stood behind the last whole character at the end of the input."""
        return self.decoder.tail

    def plain(self, row: Row) -> bytes:
        """A row as it came, without our cells."""
        return self.decoder.encode(row.text + row.end)

    def _begin(self, text: str, is_last: bool) -> str:
        """Find the dialect as soon as there is a whole line; gives the text that is to be read."""
        self._start.append(text)
        self._start_chars += len(text)
        if not is_last and self._start_chars < min(self._enough, self._limit):
            return ""
        text = "".join(self._start)
        self._start = [text]
        self._enough = 2 * len(text) if len(text) > _HEAD_CHARS else 0
        start = text.lstrip("\ufeff\r\n")
        has_line = "\n" in start or "\r" in start[:-1]
        if not has_line and not is_last:
            if len(text) > self._limit:
                raise MalformedError("csv_row_too_large", "the head never ends")
            return ""
        choice = self._choice
        names = [choice.message] if choice.message is not None else self._fields.message
        if not is_last and self._waits_for_head(start, names):
            return ""
        self._start.clear()
        self._start_chars = 0
        mark = "\ufeff" if text.startswith("\ufeff") else ""
        self.dialect = find_dialect(
            text,
            names,
            choice.delimiter,
            choice.quote,
            sources=self._fields.source,
            has_head=choice.has_head,
        )
        self._above = self.dialect.above
        self._before = self.dialect.preamble or mark
        first_line = 2 if self.dialect.preamble else 1
        self._reader = RowReader(self.dialect, self._limit, first_line)
        return text[len(self._before) :]

    def _waits_for_head(self, start: str, names: Sequence[str]) -> bool:
        """Whether the head may come below rows that are not there yet: no first line has one of
        ``names``, and there are few lines.
        """
        if not self._choice.has_head or len(start) > _HEAD_CHARS:
            return False
        lines = start.replace("\r", "\n").split("\n", HEAD_ROWS)
        if len(lines) > HEAD_ROWS:
            return False
        return not has_name("\n".join(lines[:-1]), names, self._choice.delimiter or "")

    def _open(self, raw: RawRow) -> None:
        cells, text, fault, _ = raw
        unnamed = self.dialect.unnamed
        if not "".join(cells).strip():
            self._before += text  # blank lines in front of the head
            return
        if self._above:
            self._above -= 1
            self._before += text
            return
        cells = [*cells, *[""] * unnamed]
        self._columns = Columns(
            cells,
            self._fields,
            self._choice,
            needs_message=self._needs_message,
            further=self._further,
        )
        self._width = len(cells)
        body, end = _split_end(text)
        body += self.dialect.delimiter * unnamed
        if fault is not None:
            body = row_text(cells, self.dialect)
        self._head = (body, end or "\n")

    def _without_head(self, rows: list[RawRow]) -> list[RawRow]:
        """Take the head off, if there is one."""
        for at, raw in enumerate(rows):
            self._open(raw)
            if self._columns is not None:
                return rows[at + 1 :] if self._choice.has_head else rows[at:]
        return []

    def _rows(self, rows: list[RawRow], is_whole: bool) -> list[Row]:
        """A loop without calls for ordinary rows: a large file has millions."""
        found: list[Row] = []
        add = found.append
        make = Row._make
        width = self._width
        count = self._count
        for cells, text, fault, line in rows:
            if text[-1:] == "\n" and text[-2:-1] != "\r":
                body = text[:-1]
                end = "\n"
            else:
                body, end = _split_end(text)
            if not cells or (len(cells) == 1 and is_blank(body) and (width > 1 or _EOF in body)):
                add(Row([], body, end, count, None, line))
                continue
            count += 1
            if fault is None and is_whole and len(cells) == width:
                add(make((cells, body, end, count, None, line, ())))
            else:
                add(self._odd((cells, body, fault, line), end, count))
        self._count = count
        return found

    def _suits(self, plain: PlainRows, text: str) -> bool:
        """Whether all are rows as the head has them, of characters only."""
        if self._columns is None or not self._was_whole or _EOF in text or not _is_whole(text):
            return False
        return set(map(len, plain.cells)) == {self._width}

    def _plain_rows(self, plain: PlainRows) -> list[Row]:
        """`_rows` without a line of Python for each."""
        count = len(plain.cells)
        numbers = range(self._count + 1, self._count + count + 1)
        lines = range(plain.line, plain.line + count)
        ends = itertools.repeat(plain.end)
        no_fault = itertools.repeat(None)
        no_kinds: Iterator[tuple[FaultKind, ...]] = itertools.repeat(())
        columns = (plain.cells, plain.texts, ends, numbers, no_fault, lines, no_kinds)
        self._count += count
        return list(map(_make_row, zip(*columns, strict=False)))

    def _odd(self, raw: RawRow, end: str, number: int) -> Row:
        """A row that may have faults, as it is read and as it is written."""
        cells, body, fault, line = raw
        faults: dict[FaultKind, str] = {}
        read = cells
        if fault is not None:
            faults["quote"] = fault
        if len(cells) != self._width:
            faults["cells"] = f"{len(cells)} cells where the head has {self._width}"
        if len(cells) > self._width:
            read, cells = self._gathered(cells)
        missing = self._width - len(cells)
        if faults and (fault is not None or read is not cells):
            body = row_text([*cells, *[""] * missing], self.dialect)
        else:
            body += self.dialect.delimiter * missing
        read = [*read, *[""] * missing]
        if not _is_whole(body):
            faults["bytes"] = f"bytes that are not {self.decoder.name}"
            read = [replaced(cell) for cell in read]
        words = "; ".join(faults.values()) or None
        return Row(read, body, end, number, words, line, tuple(faults))

    def _gathered(self, cells: list[str]) -> tuple[list[str], list[str]]:
        """The cells of a row that has too many, as they are read and as they are written.

        A delimiter in a message without quotes is what makes them too many; empty ones at the end
        are what spreadsheets leave.
        """
        surplus = len(cells) - self._width
        at = self.columns.message
        is_padding = not any(cells[self._width :])
        if is_padding:
            at = self._width - 1
        joined = self.dialect.delimiter.join(cells[at : at + surplus + 1])
        written = [*cells[:at], joined, *cells[at + surplus + 1 :]]
        if is_padding:
            return cells[: self._width], written
        return list(written), written


def _split_end(text: str) -> tuple[str, str]:
    """A row's text and its line end."""
    if text.endswith("\r\n"):
        return text[:-2], "\r\n"
    if text.endswith(("\n", "\r")):
        return text[:-1], text[-1]
    return text, ""


def _is_whole(text: str) -> bool:
    """Whether all of it is characters: no byte that is not of the encoding."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
