"""Merged cells of a workbook: their text stands in each row that they span."""

from __future__ import annotations

import csv
import io

import pytest
from openpyxl import Workbook

from waybill.wire.merged import Filled, Merge
from waybill.wire.workbook import Sheet, read_sheet

TABLE = [
    ["Incidents of the week", None, None],
    ["source", "log_message", "note"],
    ["crm", "a", None],
    [None, "b", None],
    [None, None, None],
    [None, "c", "own"],
    ["erp", "d", None],
]


def read(*merged: str, sheet: str = "Data") -> tuple[Sheet, list[list[str]]]:
    book = Workbook()
    other = book.active
    assert other is not None
    other.append(["source"])
    other.merge_cells("A1:A9")
    page = book.create_sheet(sheet)
    for row in TABLE:
        page.append(row)
    for span in merged:
        page.merge_cells(span)
    out = io.BytesIO()
    book.save(out)
    found = read_sheet(io.BytesIO(out.getvalue()), ["log_message"])
    return found, list(csv.reader(io.StringIO(b"".join(found.pieces).decode())))


@pytest.mark.parametrize(
    ("merged", "sources"),
    [
        ((), ["crm", "", "", "erp"]),
        (("A3:A4",), ["crm", "crm", "", "erp"]),
        (("A3:A6",), ["crm", "crm", "crm", "erp"]),
        (("A3:A6", "A7:A99"), ["crm", "crm", "crm", "erp"]),
        (("A3:B3",), ["crm", "", "", "erp"]),
        (("A1:C1", "A2:A2"), ["crm", "", "", "erp"]),
    ],
)
def test_rows_have_the_text_that_is_merged_over_them(
    merged: tuple[str, ...], sources: list[str]
) -> None:
    sheet, (head, *rows) = read(*merged)
    assert head == ["source", "log_message", "note"]
    assert [row[0] for row in rows if row] == sources
    assert [row[2] for row in rows if row] == ["", "", "own", ""]
    downwards = sum(span[1:].split(":")[0] != span.split(":")[1][1:] for span in merged)
    assert ("merged cells" in sheet.told) == (downwards > 0)


def test_what_a_row_says_itself_is_kept() -> None:
    filled = Filled([Merge(1, 3, 0), Merge(2, 3, 1), Merge(2, 9, 7)])
    rows: list[list[object]] = [["a", None], [None, "b"], ["own", None], [None, None]]
    found = [list(filled.row(number, row)) for number, row in enumerate(rows, 1)]
    assert found == [["a", None], ["a", "b"], ["own", "b"], [None, None]]
