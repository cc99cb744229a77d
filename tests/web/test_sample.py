"""What a file is read as is asked in one place, by the pages and by the command."""

from __future__ import annotations

import bz2
import gzip
import io
from pathlib import Path

import openpyxl
import pytest

from waybill.core.errors import WaybillError
from waybill.settings.schema import FieldSettings
from waybill.web.job import Options
from waybill.web.sample import is_table, read_sample

TABLE = b"source,message\nshop,User 1 logged in\n"
LINES = b'{"log":"User 1 logged in"}\n{"log":"disk 7 is full"}\n'


def workbook() -> bytes:
    book = openpyxl.Workbook()
    for row in (["source", "message"], ["shop", "User 1 logged in"]):
        book.worksheets[0].append(row)
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "form", "expected"),
    [
        pytest.param("a.csv", TABLE, "", True, id="table"),
        pytest.param("a.csv.gz", gzip.compress(TABLE), "", True, id="compressed table"),
        pytest.param("a", TABLE, "", True, id="table without a suffix"),
        pytest.param("a.log", TABLE, "", True, id="table called a log"),
        pytest.param("a.csv", workbook(), "", True, id="workbook called a table"),
        pytest.param("a.csv", LINES, "", False, id="lines of JSON called a table"),
        pytest.param("a.tsv", b"[" + LINES[:26] + b"]", "", False, id="array called a table"),
        pytest.param("a.csv.gz", gzip.compress(LINES), "", False, id="compressed JSON"),
        pytest.param("a.csv", LINES.decode().encode("utf-16"), "", False, id="wide JSON"),
        pytest.param("a.csv", LINES, "csv", True, id="JSON that somebody says is a table"),
        pytest.param("a.csv", TABLE, "text", False, id="table that somebody says is text"),
        pytest.param("a.log", b"User 1 logged in\n", "", False, id="text"),
    ],
)
def test_a_file_is_a_table_where_it_is_read_as_one(
    tmp_path: Path, name: str, data: bytes, form: str, expected: bool
) -> None:
    file = tmp_path / "in"
    file.write_bytes(data)
    options = Options(form=form)
    assert is_table(FieldSettings(), file, name, options) is expected
    sample = read_sample(FieldSettings(), file, name, options)
    assert (sample.form in ("csv", "xlsx")) is expected


def test_a_record_that_is_left_as_it_is_has_the_reason_that_the_command_tells(
    tmp_path: Path,
) -> None:
    file = tmp_path / "in"
    file.write_bytes(b'{"log": "ok"}\n{"log": \n[1]\n{"log": 7}\n{"other": 1}\n')
    lines = read_sample(FieldSettings(), file, "a.ndjson", Options()).lines
    told = [None, "malformed_record", "not_an_object", "message_not_a_string"]
    assert [line.reason for line in lines][:4] == told


@pytest.mark.parametrize("name", ["a.json", "a.ndjson"])
def test_what_is_no_json_is_said_for_who_has_a_file(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text("// by hand\n{log: 'a'}\n")
    with pytest.raises(WaybillError, match="as text it is taken line by line"):
        read_sample(FieldSettings(), file, name, Options())


def test_what_cannot_be_read_is_no_table(tmp_path: Path) -> None:
    file = tmp_path / "in"
    file.write_bytes(bz2.compress(TABLE))
    assert not is_table(FieldSettings(), file, "a.csv", Options())
    assert not is_table(FieldSettings(), tmp_path / "gone", "a.csv", Options())
