"""A row that is written is the row that is read."""

from __future__ import annotations

import csv
import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.settings.schema import FieldSettings
from waybill.wire.table.columns import make_choice
from waybill.wire.table.dialect import Dialect, row_text
from waybill.wire.table.table import Table

CELLS = st.lists(st.text("ab;,'\"\r\n \t=", max_size=6), min_size=2, max_size=4)


@given(cells=CELLS, delimiter=st.sampled_from(",;\t|"), quote=st.sampled_from("\"'"))
def test_cells_come_back_as_they_were(cells: list[str], delimiter: str, quote: str) -> None:
    """Line ends in a cell lost their quotes: the row became two."""
    text = row_text(cells, Dialect(delimiter, quote))
    read = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote)
    assert list(read) == [cells]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_row_that_is_mended_stays_one_row(end: str) -> None:
    data = f'source,log\n"a{end}b",x,y\nc,failed\n'.encode()
    table = Table(FieldSettings(), make_choice(), sys.maxsize)
    rows = table.feed(data, is_last=True)
    whole = table.head() + b"".join(map(table.plain, rows)) + table.rest()
    read = list(csv.reader(io.StringIO(whole.decode(), newline="")))
    assert [row[0] for row in read] == ["source", f"a{end}b", "c"]
