"""One reader of message files: the same records whatever they are written in."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path

import pytest
from backports import zstd

from waybill.core.errors import WaybillError
from waybill.learn.json_stream import objects, values
from waybill.learn.messages import read_messages, read_rows
from waybill.settings.schema import FieldSettings

FIELDS = FieldSettings()
ROWS = [
    {"log_message": "disk 7 failed", "source": "nas", "target_label": "Error"},
    {"log_message": 'he said "no", twice\nand left', "source": "", "target_label": ""},
]
CSV = 'log_message,source,target_label\ndisk 7 failed,nas,Error\n"he said ""no"", twice\nand left",,\n'
BODIES = {
    "a.csv": CSV,
    "bom.csv": "\ufeff" + CSV,
    "a.ndjson": "\n".join(map(json.dumps, ROWS)),
    "a.jsonl": "\r\n".join(map(json.dumps, ROWS)) + "\r\n",
    "a.json": json.dumps(ROWS),
    "stream.json": "".join(map(json.dumps, ROWS)),
    "unknown.suffix": json.dumps(ROWS),
    "table.txt": CSV,
}


for encoding in ("utf-16", "cp1252"):
    BODIES[f"{encoding}.csv"] = CSV
BODIES["semicolon.csv"] = CSV.replace(",", ";").replace('no"";', 'no"",')
BODIES["tab.tsv"] = CSV.replace(",", "\t").replace('no""\t', 'no"",')
BODIES["capitals.csv"] = CSV.replace("log_message,source", "Log Message,Source", 1)
BODIES["a.csv.gz"] = CSV
BODIES["a.ndjson.zst"] = BODIES["a.ndjson"]


def written(name: str) -> bytes:
    if name.endswith(".gz"):
        return gzip.compress(BODIES[name].encode())
    if name.endswith(".zst"):
        return zstd.compress(BODIES[name].encode())
    encoding = name.split(".")[0]
    return BODIES[name].encode(encoding if encoding in ("utf-16", "cp1252") else "utf-8")


@pytest.mark.parametrize("name", list(BODIES))
def test_every_form_gives_the_same_lines(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(written(name))
    lines = list(read_messages(tmp_path / name, FIELDS))
    assert [line.message for line in lines] == [row["log_message"] for row in ROWS]
    assert [(line.source, line.label, line.row) for line in lines] == [
        ("nas", "Error", 1),
        ("", None, 2),
    ]
    assert [line.members["log_message"] for line in lines] == [row["log_message"] for row in ROWS]


def test_parquet_gives_them_too(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    lines = list(read_messages(tmp_path / "a.parquet", FIELDS))
    assert [(line.message, line.source) for line in lines] == [
        (row["log_message"], row["source"]) for row in ROWS
    ]


def test_stdin_is_read_by_its_content(monkeypatch: pytest.MonkeyPatch) -> None:
    for body in (CSV, json.dumps(ROWS)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(body.encode())))
        lines = list(read_messages("-", FIELDS))
        assert [line.label for line in lines] == ["Error", None]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\n\ntwo, three\n")))
    assert [line.message for line in read_messages("-", FIELDS)] == ["one", "two, three"]


def test_text_is_lines_that_are_not_blank(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes(b"one\r\n\n  \ntwo \xff\n")
    lines = list(read_messages(tmp_path / "app.log", FIELDS))
    assert [line.message for line in lines] == ["one", "two ÿ"]


def test_members_of_members_are_found_by_their_path(tmp_path: Path) -> None:
    record = {
        "log": "a",
        "kubernetes": {"labels": {"app.kubernetes.io/name": "shop"}, "container_name": "c"},
    }
    (tmp_path / "a.ndjson").write_text(json.dumps(record))
    (line,) = read_messages(tmp_path / "a.ndjson", FIELDS)
    assert (line.message, line.source) == ("a", "shop")


def test_what_cannot_be_read_costs_only_itself(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text('{"log": "a"}\nbroken {\n[]\n7\n{"log": 5}\n{"log": "b"}\n')
    lines = list(read_messages(tmp_path / "a.ndjson", FIELDS))
    assert [line.message for line in lines] == ["a", None, None, None, "b"]
    with pytest.raises(WaybillError, match="row 2: no JSON object"):
        list(read_rows(tmp_path / "a.ndjson", is_strict=True))


def test_a_row_with_a_fault_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text('log,source\na,b\nc\n"d,e\n')
    lines = list(read_messages(tmp_path / "a.csv", FIELDS))
    assert [line.message for line in lines] == ["a", "c", "d,e"]
    err = capsys.readouterr().err
    assert "row 2: 1 cells where the head has 2" in err
    assert "2 rows have faults" in err
    with pytest.raises(WaybillError, match="row 2: 1 cells"):
        list(read_rows(tmp_path / "a.csv", is_strict=True))


def test_a_table_without_a_message_names_its_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("words,kind\nx,y\n")
    with pytest.raises(WaybillError, match=r"no column of log, .*there are: words, kind"):
        list(read_messages(tmp_path / "a.csv", FIELDS))
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(WaybillError, match="the file is empty"):
        list(read_messages(tmp_path / "empty.csv", FIELDS))
    with pytest.raises(WaybillError, match=r"gone\.csv"):
        list(read_messages(tmp_path / "gone.csv", FIELDS))


def test_values_are_found_whatever_stands_between() -> None:
    text = '\ufeff{"a": 1}{"b": [1, 2]},\x1e {"c": "\n"}\nno json\n[{"d": 4}, 5] tail'
    assert list(values(text)) == [
        {"a": 1}, {"b": [1, 2]}, {"c": "\n"}, "no json", {"d": 4}, 5, "tail",
    ]  # fmt: skip
    assert [*objects(text)][-1] == {"d": 4}
    assert list(values("")) == []
    assert list(values("[" * 100_000)) == ["[" * 100_000]
