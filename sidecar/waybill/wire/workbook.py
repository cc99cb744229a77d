"""A sheet of an ``.xlsx`` workbook as CSV: which sheet, where its head is, and its rows."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple, Protocol

from waybill.core.errors import WaybillError, WorkbookError
from waybill.wire.merged import Filled, Merge, merges_of
from waybill.wire.table.dialect import normal, quoted_row
from waybill.wire.workbook_limits import MOST_COLUMNS, MOST_ROWS, refuse_bomb

__all__ = ["Sheet", "read_sheet"]

#: The head is looked for in so many rows: a title may stand above it.
_HEAD_ROWS = 20
_LIBRARIES = ("openpyxl", "zipfile", "xml", "zlib")

Row = Sequence[object]


class Sheet(NamedTuple):
    """``told`` says which sheet it is and what of it is left out; ``pieces`` are CSV in UTF-8;
    ``rows`` is how many of them the workbook says there are, ``names`` are its sheets.
    """

    told: str
    pieces: Iterator[bytes]
    rows: int
    name: str
    names: tuple[str, ...]


class _Worksheet(Protocol):
    @property
    def title(self) -> str: ...
    @property
    def sheet_state(self) -> str: ...
    @property
    def max_column(self) -> int | None: ...
    @property
    def max_row(self) -> int | None: ...
    def iter_rows(self, *, values_only: bool) -> Iterator[Row]: ...


def read_sheet(file: BinaryIO, names: Sequence[str], wanted: str | None = None) -> Sheet:
    """The sheet ``wanted``, or the first that has one of ``names`` in a head, else the first, and
    hidden ones last; rows above the head are left out. Raises WaybillError.
    """
    try:
        from openpyxl.reader.excel import ExcelReader
    except ModuleNotFoundError:
        raise WaybillError(
            "openpyxl is missing; install it with: pip install 'waybill-sidecar[files]', "
            "or save the sheet as CSV"
        ) from None
    with _faults():
        refuse_bomb(file)
        reader = ExcelReader(file, read_only=True, data_only=True, keep_links=False)
        reader.read()
        sheets: list[_Worksheet] = reader.wb.worksheets
        if not sheets:
            raise WorkbookError("no_sheet", "it has no sheet with cells")
        titles = tuple(sheet.title for sheet in sheets)
        if wanted is not None and wanted not in titles:
            raise WaybillError(f"no sheet is called {wanted!r}; there are: {', '.join(titles)}")
        offered = [sheet for sheet in sheets if wanted in (None, sheet.title)]
        # Hidden ones hold what is no longer meant, and nobody sees that they are there.
        offered.sort(key=lambda sheet: sheet.sheet_state != "visible")
        for sheet in offered:
            _check_width(sheet.max_column or 0)
        sheet, above = _place_of_head(offered, {normal(name) for name in names})
        parts = {one.name: relation.target for one, relation in reader.parser.find_sheets()}
        merges = merges_of(file, parts[sheet.title])
    told = f"sheet {sheet.title!r} of {len(sheets)} is read; the output is CSV"
    if above:
        told += f"; {above} rows above the head are left out"
    if merges:
        told += f"; merged cells: {len(merges)} stand in each of their rows"
    rows = max(0, (sheet.max_row or 0) - above - 1)
    return Sheet(told, _pieces(sheet, above, merges), rows, sheet.title, titles)


def _check_width(columns: int) -> None:
    if columns > MOST_COLUMNS:
        detail = f"it has {columns:,} columns, at most {MOST_COLUMNS:,} are read"
        raise WorkbookError("columns", detail)


def _place_of_head(sheets: Sequence[_Worksheet], wanted: set[str]) -> tuple[_Worksheet, int]:
    for sheet in sheets:
        for at, row in enumerate(itertools.islice(sheet.iter_rows(values_only=True), _HEAD_ROWS)):
            if any(isinstance(cell, str) and normal(cell) in wanted for cell in row):
                return sheet, at
    return sheets[0], 0


def _pieces(sheet: _Worksheet, above: int, merges: Sequence[Merge]) -> Iterator[bytes]:
    filled = Filled(merges)
    with _faults():
        rows = itertools.islice(sheet.iter_rows(values_only=True), above, None)
        for number, row in enumerate(rows, above + 1):
            if number > MOST_ROWS:
                raise WorkbookError("rows", f"it has more than {MOST_ROWS:,} rows")
            _check_width(len(row))
            if all(cell is None for cell in row):
                yield b"\n"
                continue
            yield quoted_row(filled.row(number, row)).encode() + b"\n"


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    """Every fault of the workbook as a WaybillError, from any library."""
    try:
        yield
    except WaybillError:
        raise
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise WorkbookError("unreadable", str(error)) from error
    except Exception as error:
        if type(error).__module__.startswith(_LIBRARIES):
            raise WorkbookError("unreadable", str(error)) from error
        raise
