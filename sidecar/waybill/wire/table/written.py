"""How rows are written: their own text, with our cells behind it or in the place of one."""

from __future__ import annotations

import functools
import itertools
import operator
import re
from collections.abc import Sequence

from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire.table.columns import DETAILS, Columns
from waybill.wire.table.dialect import Dialect, row_text
from waybill.wire.table.encoding import TextDecoder
from waybill.wire.table.row import Row

__all__ = ["Written", "with_cell"]

#: Verdicts whose cells are kept as text; most rows share theirs.
_KEPT = 10_000
_CELLS = operator.itemgetter(0)
_TEXT = operator.itemgetter(1)
_END = operator.itemgetter(2)


class Written:
    """Writes the rows of one table."""

    def __init__(
        self,
        columns: Columns,
        dialect: Dialect,
        decoder: TextDecoder,
        fields: FieldSettings,
        further: Sequence[FieldSettings],
    ) -> None:
        self._columns = columns
        self._dialect = dialect
        self._decoder = decoder
        self._fields = fields
        self._further = further
        self._kept: dict[Verdict, str] = {}

    def head(self, text: str) -> str:
        """The head with our columns."""
        added = row_text(self._columns.added, self._dialect)
        return text + self._dialect.delimiter + added if self._columns.added else text

    def rows(self, rows: Sequence[Row], verdicts: Sequence[Verdict]) -> str:
        """Rows with our cells; of a table whose own labels are kept or replaced, in their place."""
        if self._columns.place is not None:
            pairs = zip(rows, verdicts, strict=True)
            return "".join([self._replaced(row, verdict) + row.end for row, verdict in pairs])
        added = self._added(verdicts)
        if not all(map(_CELLS, rows)):
            ours = zip(rows, added, strict=True)
            added = [text if row.cells else "" for row, text in ours]
        # No line of Python for each row: a large file has millions.
        pieces = zip(map(_TEXT, rows), added, map(_END, rows), strict=True)
        return "".join(itertools.chain.from_iterable(pieces))

    def _added(self, verdicts: Sequence[Verdict]) -> list[str]:
        """Our cells for each of ``verdicts``, with the delimiter in front."""
        kept = self._kept
        missing = set(verdicts).difference(kept)
        if len(kept) + len(missing) > _KEPT:
            kept.clear()
            missing = set(verdicts)
        for verdict in missing:
            kept[verdict] = self._cells_of(verdict)
        return list(map(kept.__getitem__, verdicts))

    def _replaced(self, row: Row, verdict: Verdict) -> str:
        columns = self._columns
        place = columns.place
        if not row.cells or place is None:
            return row.text
        if columns.keeps(row.cells):
            return row.text + self._dialect.delimiter * len(columns.added)
        label = row_text([self._decoder.fitting(verdict.label)], self._dialect)
        (added,) = self._added([verdict])
        return with_cell(row, place, label, self._dialect) + added

    def _cells_of(self, verdict: Verdict) -> str:
        ours = _cells(verdict, self._columns.details)
        if self._columns.place is None:
            ours.insert(0, verdict.label)
        if self._fields.pattern is not None:
            ours.append(verdict.pattern or "")
        for fields, beside in zip(self._further, verdict.beside, strict=True):
            named = [name for name in DETAILS if getattr(fields, name) is not None]
            ours += [beside.label, *_cells(beside, named)]
        if not ours:
            return ""
        cells = row_text([self._decoder.fitting(cell) for cell in ours], self._dialect)
        return self._dialect.delimiter + cells


def with_cell(row: Row, place: int, cell: str, dialect: Dialect) -> str:
    """The text of a row with ``cell``, as it is written, in the place of one of its own.

    All other bytes stay as they are; only a row whose text cannot be told apart by the rules of its
    dialect is written anew.
    """
    spans = _spans(row.text, dialect)
    if len(spans) != len(row.cells):
        before = map(functools.partial(_alone, dialect), row.cells[:place])
        behind = map(functools.partial(_alone, dialect), row.cells[place + 1 :])
        return dialect.delimiter.join((*before, cell, *behind))
    begin, end = spans[place]
    return row.text[:begin] + cell + row.text[end:]


def _alone(dialect: Dialect, cell: str) -> str:
    return row_text([cell], dialect)


def _spans(text: str, dialect: Dialect) -> list[tuple[int, int]]:
    """Where each cell begins and ends."""
    spans: list[tuple[int, int]] = []
    cell = _cell_of(dialect)
    at = 0
    while True:
        found = cell.match(text, at)
        if found is None:
            return []
        spans.append(found.span())
        if found.end() >= len(text):
            return spans
        if text[found.end()] != dialect.delimiter:
            return []
        at = found.end() + 1


@functools.lru_cache(maxsize=8)
def _cell_of(dialect: Dialect) -> re.Pattern[str]:
    """One cell by the rules of Python's ``csv``."""
    between = re.escape(dialect.delimiter)
    if dialect.quote is None:
        return re.compile(f"[^{between}]*+", re.DOTALL)
    quote = re.escape(dialect.quote)
    escape = ""
    escaped = ""
    if dialect.escape is not None:
        escape = re.escape(dialect.escape)
        escaped = f"|{escape}.?"
    blanks = " *+" if dialect.skips_blanks else ""
    quoted = f"{quote}(?:[^{quote}{escape}]++|{quote}{quote}{escaped})*+{quote}[^{between}]*+"
    plain = f"(?:[^{between}{escape}]++{escaped})*+"
    return re.compile(f"{blanks}(?:{quoted}|{plain})", re.DOTALL)


def _cells(verdict: Verdict, wanted: Sequence[str]) -> list[str]:
    """The details of a verdict that are wanted."""
    confidence = ""
    if verdict.confidence is not None:
        confidence = f"{verdict.confidence:.4g}"
    details = {
        "confidence": confidence,
        "tier": verdict.tier,
        "reason": verdict.reason or "",
        "rule": verdict.rule or "",
    }
    return [details[name] for name in wanted]
