"""A table that a spreadsheet opens runs nothing."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from waybill.web.job import Options
from waybill.web.spreadsheet import made_safe

#: In Japanese and Chinese, spreadsheets take the wide ones as well.
BEGINS = [*"=+-@", "\t", "\r", "\n", *"＝＋－＠"]


@pytest.mark.parametrize("begin", BEGINS, ids=ascii)
async def test_no_cell_begins_like_a_formula(tmp_path: Path, begin: str) -> None:
    cells = [f"{begin}cmd|'/c calc'!A0\r\n=1\n=2", "failed", f"{begin}1"]
    file = tmp_path / "a.csv"
    with file.open("w", encoding="utf-8", newline="") as table:
        csv.writer(table).writerows([["source", "log", "note"], cells])
    safe = b"".join([part async for part in made_safe(file, Options())])
    _, row = csv.reader(io.StringIO(safe.decode(), newline=""))
    # What stands behind a line end within a cell begins none.
    assert row == [f"'{cells[0]}", "failed", f"'{cells[2]}"]
