"""CSV in pieces: rows out as soon as they are whole, however the bytes arrive."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Sequence

from waybill.core.errors import MalformedError
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings

#: The columns we add, in order, and what they hold.
CONFIDENCE, TIER = "confidence", "tier"


class RowSplitter:
    """Cuts CSV text into whole rows; a line end inside quotes does not end a row (RFC 4180)."""

    def __init__(self, limit_chars: int) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._open = ""
        self._limit = limit_chars

    def feed(self, data: bytes, is_last: bool = False) -> list[list[str]]:
        """The rows that ``data`` completes.

        Raises:
            MalformedError: ``csv_row_too_large``, ``csv_syntax``.
        """
        lines = (self._open + self._decoder.decode(data, is_last)).splitlines(keepends=True)
        rows: list[str] = []
        pending = ""
        for line in lines:
            pending += line
            if pending.count('"') % 2 == 0 and line.endswith(("\n", "\r")):
                rows.append(pending)
                pending = ""
        if is_last and pending:
            rows.append(pending)
            pending = ""
        if len(pending) > self._limit:
            raise MalformedError(
                "csv_row_too_large", "a quote is never closed, or a row is too long"
            )
        self._open = pending
        csv.field_size_limit(max(self._limit, 131_072))
        try:
            return [row for row in csv.reader(rows) if row]
        except csv.Error as error:
            raise MalformedError("csv_syntax", str(error)) from None


class Table:
    """The columns of one CSV: where message, source and earlier label stand, and what is added."""

    def __init__(self, header: Sequence[str], fields: FieldSettings) -> None:
        self._relabel = fields.relabel
        names = [name.strip() for name in header]
        message = next((names.index(name) for name in fields.message if name in names), None)
        if message is None:
            raise MalformedError(
                "csv_columns", f"none of the columns is one of {', '.join(fields.message)}"
            )
        self._message = message
        self._source = next((names.index(name) for name in fields.source if name in names), None)
        self._label = names.index(fields.label) if fields.label in names else None
        added = [fields.label] if self._label is None else []
        self.header = [*header, *added, CONFIDENCE, TIER]
        self._width = len(header)

    def message(self, row: Sequence[str]) -> str | None:
        """The row's message; None when it has none, or carries a label that is to stay."""
        is_labelled = (
            self._label is not None and self._label < len(row) and row[self._label].strip()
        )
        if is_labelled and not self._relabel:
            return None
        if self._message >= len(row):
            return None
        return row[self._message]

    def source(self, row: Sequence[str]) -> str:
        """The row's source, or ``""``."""
        return (
            row[self._source].strip()
            if self._source is not None and self._source < len(row)
            else ""
        )

    def labelled(self, row: Sequence[str], verdict: Verdict) -> list[str]:
        """The row with its verdict; a row that keeps its label gets empty confidence and tier."""
        cells = [*row, *[""] * (self._width - len(row))]
        if self.message(row) is None and self._label is not None and cells[self._label].strip():
            return [*cells, "", ""]
        if self._label is None:
            cells.append(verdict.label)
        else:
            cells[self._label] = verdict.label
        return [
            *cells,
            "" if verdict.confidence is None else f"{verdict.confidence:.4g}",
            verdict.tier,
        ]


def write_rows(rows: Iterable[Sequence[str]]) -> str:
    """CSV text of ``rows``."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
