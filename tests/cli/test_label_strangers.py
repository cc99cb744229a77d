"""Files as strangers bring them: heads, containers and ends that nobody has announced."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.cli.label_rig import DISK, LOGIN, Done, Label


def said_and_labels(done: Done) -> tuple[str, list[str]]:
    """What was said, and the labels of the rows behind the head."""
    assert done.out is not None
    labels = [label for label in ("User Action", "Critical Error") if label.encode() in done.out]
    return done.said, labels


@pytest.mark.parametrize(
    "lines",
    [
        ["Zeit;Quelle;Meldung", f"1;CRM;{LOGIN}"],
        ["# exported", "# by hand", "source,message", f"CRM,{LOGIN}"],
        ["Report of May;", ";", "source;message", f"CRM;{LOGIN}"],
        ["source~message", f"CRM~{LOGIN}"],
        ["source\x1fmessage", f"CRM\x1f{LOGIN}"],
        ["source;message", f"CRM;'{LOGIN}; then left'"],
        ["when,what", f"10:00,{LOGIN}"],
        [f"10:00,{LOGIN}", f"10:01,{LOGIN}"],
        ["Level,Date,Source", f"Error,10:00,disk,{LOGIN}"],
    ],
)
def test_heads_that_others_write_are_found(label: Label, lines: list[str]) -> None:
    done = label("in.csv", "\n".join([*lines, ""]).encode())
    assert done.code == 0
    assert said_and_labels(done)[1] == ["User Action"]
    assert done.out is not None
    pairs = zip(done.out.decode().splitlines(), lines, strict=True)
    assert all(line.startswith(own[:8]) for line, own in pairs)


def test_a_column_that_no_name_tells_is_said(label: Label) -> None:
    done = label("in.csv", f"when,what\n1,{LOGIN}\n".encode())
    assert "no column's name says message: 'what' is taken" in done.said
    done = label("in.csv", b"a,b\n1,2\n")
    assert (done.code, done.out) == (1, None)
    assert "in.csv: no column is called" in done.said
    assert label("in.csv", f"a,b\n1,{LOGIN}\n".encode(), "--message-column", "2").code == 0


FOREIGN = {
    "tar": b"logs.csv".ljust(257, b"\0") + b"ustar\0" + bytes(300),
    "control": bytes(range(256)) * 8,
    "HTML": b"<html><table><tr><td>message</td></tr></table></html>",
    "XML": b'<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?>\n<Workbook/>',
    "one record a row": b'\xef\xbb\xbf<?xml version="1.0"?>\n<log><record/></log>',
    "journalctl -o json": b"__CURSOR=s=1\nMESSAGE=disk 5 is full\n",
}


@pytest.mark.parametrize("told", FOREIGN)
@pytest.mark.parametrize("name", ["in.csv", "in", "in.xls"])
def test_what_is_no_text_of_lines_is_named(label: Label, name: str, told: str) -> None:
    done = label(name, FOREIGN[told])
    assert (done.code, done.out) == (1, None)
    assert told in done.said


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("in.csv", f"source,log\r\na,{LOGIN}\r\n"),
        ("in.log", f"{LOGIN}\r\n"),
        ("in.ndjson", f'{{"log":"{LOGIN}"}}\r\n'),
        ("in.json", f'[{{"log":"{LOGIN}"}}]'),
    ],
)
@pytest.mark.parametrize("end", ["\x1a", "\r\n\x1a\r\n", "\x1a\x00\x00", " \t\r\n"])
def test_an_end_mark_is_no_row(label: Label, name: str, data: str, end: str) -> None:
    done = label(name, (data + end).encode())
    assert (done.code, "1 row in" in done.said) == (0, True)


def test_an_end_mark_is_no_row_of_one_column(label: Label) -> None:
    for end in ("\x1a", "\r\n\x1a\r\n", "\x1a\x00"):
        done = label("in.csv", f"log\r\n{LOGIN}\r\n{end}".encode())
        assert (done.code, "1 row in" in done.said) == (0, True)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_table_without_a_suffix_is_one_in_any_encoding(label: Label, encoding: str) -> None:
    done = label("in", f"source,log\nÄ,{LOGIN}\n".encode(encoding))
    assert done.out is not None
    assert done.out.decode(encoding).splitlines()[1] == f"Ä,{LOGIN},User Action,1,rule,,login"


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        ('{"hits":{"total":1,"hits":[{"_source":{"message":"a"}}]}}', "fields.records=hits.hits"),
        ('{"a.b":{"items":[{"message":"a"}]}}', "fields.records=a\\.b.items"),
        ('{"status":"success","data":{"result":[{"values":[]}]}}', "logcli -o raw"),
        ('{"a":{"b":{"c":{"d":[{"message":"a"}]}}}}', 'fields.message=["NAME"]'),
        ('{"columns":["log"],"index":[0],"data":[["a"]]}', "orient='records'"),
        ('{"log":["a","b"],"source":["x","y"]}', "orient='records'"),
        ('{"log":{"0":"a"},"source":{"0":"x"}}', "orient='records'"),
        ('{"log":5,"tags":["a","b"]}', 'fields.message=["NAME"]'),
        ('["a","b"]', "not one value is an object"),
        ('"{\\"log\\":\\"a\\"}"', "not one value is an object"),
        ("{'log': 'a'}", "--format text"),
        ("[\n// by hand\n{log: 'a'}]", "--format text"),
    ],
)
def test_where_records_may_lie_is_said(label: Label, data: str, advice: str) -> None:
    assert advice in label("in.json", data.encode()).said


@pytest.mark.parametrize("name", ["in.csv", "in.ndjson", "in.json", "in.log", "in"])
@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_an_empty_input_is_no_fault(label: Label, name: str, data: bytes) -> None:
    done = label(name, data)
    assert done.code == 0
    assert "the input is empty" in done.said


def test_a_compressed_file_that_breaks_off_is_labelled_so_far(label: Label) -> None:
    table = b"source,message\n" + b"CRM,User User1 logged in.\n" * 2000
    packed = gzip.compress(table)
    for data, told in (
        (packed[:-9], "truncated_gzip"),
        (packed + b"garbage", "behind its end is not gzip"),
        (gzip.compress(table[:41]) + b"garbage", "behind its end is not gzip"),
    ):
        done = label("in.csv.gz", data)
        assert done.code == 1
        assert told in done.said
        assert said_and_labels(done)[1] == ["User Action"]
        assert label("in.csv.gz", data, "--on-error", "fail").out is None
    assert label("in.csv.gz", gzip.compress(packed)).code == 0


@pytest.mark.parametrize("suffix", ["gz", "zst", "zstd"])
def test_the_output_is_compressed_as_its_name_says(
    label: Label, tmp_path: Path, suffix: str
) -> None:
    target = tmp_path / f"out.ndjson.{suffix}"
    done = label("in.log", DISK.encode(), "-o", str(target))
    assert done.code == 0
    again = label("in.ndjson", target.read_bytes())
    assert "Critical Error -> Critical Error" not in again.said
    assert "1 row had a label: 1 agree" in again.said
    refused = label("in.log", DISK.encode(), "-o", str(tmp_path / "out.xlsx"))
    assert refused.code == 1
    assert "out.xlsx: a workbook is labelled to CSV: name it .csv" in refused.said


def test_the_line_of_what_is_no_json_is_told(label: Label) -> None:
    data = b'{"log":"a"}\n\n{"log":"b"}\nbanner\n'
    done = label("in.ndjson", data, "--on-error", "fail")
    assert (done.code, done.out) == (1, None)
    assert "in.ndjson: line 4: no JSON object" in done.said
    done = label("in.ndjson", b"\nbanner\n", "--on-error", "fail")
    assert "in.ndjson: line 2: no JSON object" in done.said


def test_a_record_without_a_message_is_labelled_so_and_not_passed(label: Label) -> None:
    done = label("in.ndjson", b'{"log":"%s"}\n{"n":1}\nbanner\n' % DISK.encode())
    decided, passed = done.said.split("passed as they are")
    assert "no_message" in decided
    assert "malformed_record" in passed
