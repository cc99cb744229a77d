"""What people give to ``waybill label``: other formats, names, encodings and labels of their own."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json
from pathlib import Path

import pytest

from tests.cli.label_rig import DISK, LOGIN, Label
from waybill.cli.main import main


def workbook(*sheets: list[list[object]]) -> bytes:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for rows in sheets:
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize("end", ["\n", "\r\n", "_x000D_", "_x000D_\n"])
def test_a_line_end_in_a_cell_of_a_workbook_ends_no_row(label: Label, end: str) -> None:
    done = label("in.xlsx", workbook([["source", "log"], [f"a{end}b", LOGIN], ["c", DISK]]))
    assert done.out is not None
    rows = list(csv.reader(io.StringIO(done.out.decode(), newline="")))
    assert [row[1] for row in rows] == ["log", LOGIN, DISK]


@pytest.mark.parametrize("name", ["in.xlsx", "in.csv", "in"])
def test_a_workbook_is_known_by_its_content(label: Label, name: str) -> None:
    day = datetime.datetime(2024, 5, 1, 10, 0)  # noqa: DTZ001 - a spreadsheet knows no zones
    rows: list[list[object]] = [
        ["Source", "Log Message", "when", "n"],
        ["A", LOGIN, day, 5],
        [None],
        ["B", DISK, None, 1.5],
    ]
    done = label(name, workbook(rows))
    assert done.code == 0
    assert done.out is not None
    assert done.out.decode().splitlines() == [
        "Source,Log Message,when,n,target_label,confidence,tier,reason,rule",
        "A,User User1 logged in.,2024-05-01 10:00:00,5,User Action,1,rule,,login",
        "",
        "B,disk 5 is full,,1.5,Critical Error,1,rule,,disk",
    ]


def test_the_sheet_and_the_head_are_found_and_said(label: Label) -> None:
    done = label("in.xlsx", workbook([["x"]], [["Report"], [], ["log"], [DISK]]))
    assert "sheet 'Sheet1' of 2 is read" in done.said
    assert "2 rows above the head are left out" in done.said
    assert done.out is not None
    assert done.out.startswith(b"log,target_label,")


@pytest.mark.parametrize(
    "data", [b"PK\x03\x04 and no more", b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1"]
)
def test_what_is_no_workbook_is_refused_in_a_sentence(label: Label, data: bytes) -> None:
    pytest.importorskip("openpyxl")
    done = label("in.xlsx", data)
    assert done.code == 1
    assert "workbook" in done.said
    assert "save the sheet as .xlsx or CSV" in done.said


def test_plain_text_is_labelled_line_by_line(label: Label) -> None:
    text = (
        f'{LOGIN}\r\n\nMüller\nlevel=info msg=\'x\' log="{DISK}" service=nas\n{{"log":"{DISK}"}}\n'
    )
    for encoding in ("utf-8", "cp1252", "utf-16"):
        done = label("app.log", text.encode(encoding))
        assert "read as text" in done.said
        labels = [record["target_label"] for record in done.records()]
        assert labels == ["User Action", "Error", "Critical Error", "Critical Error"]
    assert label("app.log.gz", gzip.compress(text.encode())).records()[1]["log"] == "Müller"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("name", ["in.ndjson", "in.json"])
def test_json_in_wide_encodings_becomes_utf_8(label: Label, encoding: str, name: str) -> None:
    done = label(name, '{"log":"Müller"}\n'.encode(encoding))
    assert done.out is not None
    assert json.loads(done.out.decode("utf-8-sig"))["target_label"] == "Error"
    assert ("the output is UTF-8" in done.said) == (encoding != "utf-8-sig")


@pytest.mark.parametrize("name", ["in.ndjson", "in.json"])
def test_labels_of_json_are_kept_and_compared(label: Label, name: str) -> None:
    lines = [
        {"log": LOGIN, "target_label": "Error", "label_tier": "rule"},
        {"log": DISK, "target_label": "Critical Error"},
        {"log": "other"},
    ]
    done = label(name, "\n".join(map(json.dumps, lines)).encode())
    assert [
        (record.get("target_label"), record["predicted_label"], record["predicted_tier"])
        for record in done.records()
    ] == [
        ("Error", "User Action", "rule"),
        ("Critical Error", "Critical Error", "rule"),
        (None, "Unclassified", "none"),
    ]
    assert "2 rows had a label: 1 agree (50.0 %)" in done.said
    assert "Error -> User Action" in done.said
    assert done.code == 0


def test_another_member_can_hold_the_known_labels(label: Label) -> None:
    data = json.dumps({"log": DISK, "truth": "Error"}).encode()
    done = label("in.ndjson", data, "--label-column", "truth")
    assert (done.records()[0]["truth"], done.records()[0]["target_label"]) == (
        "Error",
        "Critical Error",
    )
    assert "Error -> Critical Error" in done.said
    done = label("in.ndjson", data, "--label-column", "mine")
    assert done.records()[0]["mine"] == "Critical Error"
    done = label("in.ndjson", b'{"log":"x","target_label":"Error"}', "--set", "fields.relabel=true")
    assert done.records()[0]["target_label"] == "Unclassified"


@pytest.mark.parametrize(
    ("option", "word"),
    [
        ("--delimiter", ";"),
        ("--message-column", "said"),
        ("--source-column", "app"),
        ("--quote", "single"),
        ("--head", "none"),
        ("--known-labels", "replace"),
        ("--source", "shop"),
        ("--details", "none"),
        ("--sheet", "2024"),
    ],
)
@pytest.mark.parametrize(
    ("name", "content"),
    [("a.ndjson", '{"said": "x"}\n'), ("a.json", '[{"said": "x"}]'), ("a.log", "a line\n")],
)
def test_an_option_that_means_nothing_here_is_refused(
    label: Label, name: str, content: str, option: str, word: str
) -> None:
    done = label(name, content.encode(), option, word)
    assert (done.code, done.out) == (1, None)
    assert f"{option} is for " in done.said


def test_what_is_said_of_records_instead_is_told(label: Label) -> None:
    done = label("a.ndjson", b'{"said": "x"}\n', "--message-column", "said")
    assert """--set 'fields.message=["NAME"]'""" in done.said


def test_where_nothing_is_labelled_the_code_is_1_and_the_members_are_told(label: Label) -> None:
    done = label("in.json", b'{"hits":{"hits":[]},"took":5}')
    assert done.code == 1
    assert "the first such record has: hits, took; say which" in done.said
    done = label("in.json", b'{"n":1,"logs":[{"log":"x"}]}')
    assert "records within it are read with --set fields.records=logs" in done.said
    assert label("in.json", b'["a","b"]').code == 1
    assert label("in.ndjson", b"").code == 0


def test_a_record_has_one_reason_everywhere(label: Label) -> None:
    done = label("in.ndjson", b'{"log":5}\n{"log":"%s"}\n' % DISK.encode())
    assert done.records()[0]["label_reason"] == "message_not_a_string"
    assert "message_not_a_string" in done.said


def test_commas_that_are_too_many_do_no_harm(label: Label) -> None:
    done = label("in.ndjson", b'{"log":"%s",}\n{"log":"%s" , }\n' % ((DISK.encode(),) * 2))
    assert [record["label_rule"] for record in done.records()] == ["disk", "disk"]
    done = label("in.ndjson", b'{"log":"%s"},\n{"log":"a"},\n' % DISK.encode())
    assert "2 rows in" in done.said
    assert done.out is not None
    assert done.out.endswith(b"},\n")


def test_bytes_of_journald_are_a_message(label: Label) -> None:
    data = [{"MESSAGE": list(f"\x1b[1m{DISK} Müller".encode())}, {"MESSAGE": list(DISK.encode())}]
    done = label("in.ndjson", "\n".join(map(json.dumps, data)).encode())
    assert [record["label_rule"] for record in done.records()] == ["disk", "disk"]
    assert "50.0 %" not in done.said
    assert done.records()[0]["MESSAGE"] == data[0]["MESSAGE"]


TWO = f"source,log\nA,x,y\nB,{DISK}\n".encode()


@pytest.mark.parametrize(
    ("how", "code", "rows"), [("pass", 1, 3), ("skip", 1, 2), ("fail", 1, None)]
)
def test_rows_with_faults_are_named(label: Label, how: str, code: int, rows: int | None) -> None:
    done = label("in.csv", TWO, "--on-error", how)
    assert done.code == code
    assert "row 1 (line 2): 3 cells where the head has 2" in done.said
    assert (done.out and len(done.out.splitlines())) == rows


def test_the_summary_says_what_came_of_it(label: Label) -> None:
    said = label(
        "in.csv", f"log,target_label\n{DISK},Critical Error\n{LOGIN},Error\nx,\n".encode()
    ).said
    for part in (
        "known label 'target_label', our label 'predicted_label'", "3 rows in", "33.3 %  User Action",
        "without a decision, by reason:", "model_disabled", "2 rows had a label: 1 agree (50.0 %)",
        "differ   Error -> User Action",
    ):  # fmt: skip
        assert part in said
    assert label("in.csv", f"log\n{DISK}\n".encode(), "--quiet").said == ""
    said = label("in.csv", f"log,target_label\n{DISK},critical ERROR \n".encode()).said
    assert "1 row had a label: 1 agree" in said


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("\u00a0Log Message\u00a0,n", f"{DISK},1"),
        ("logMessage,n", f"{DISK},1"),
        ("LOG-MESSAGE,n", f"{DISK},1"),
        ("log_message,log_message", f",{DISK}"),
        ("log,message", f" ,{DISK}"),
        ("log,message", f"\u200b,{DISK}"),
        ("log,message", f"\x1b[0m,{DISK}"),
        ("jsonPayload.message,n", f"{DISK},1"),
    ],
)
def test_columns_are_found_under_other_spellings(label: Label, head: str, row: str) -> None:
    done = label("in.csv", f"{head}\n{row}\n".encode())
    assert done.out is not None
    assert b",Critical Error,1,rule,,disk" in done.out


def test_a_table_without_a_head_and_without_sentences_is_refused_with_the_way_out(
    label: Label,
) -> None:
    done = label("in.csv", b"a,b\nc,d\n")
    assert (done.code, done.out) == (1, None)
    assert "the columns are: a, b. Name the one" in done.said
    assert "--head none --message-column 2" in done.said
    assert len(label("in.csv", f"{DISK}\n{LOGIN}\n".encode(), "--format", "text").records()) == 2


def test_names_that_lead_nowhere_are_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before rules and model are read, in the words of the user."""
    source = tmp_path / "in.csv"
    source.write_text(f"log\n{DISK}\n")
    for words, said in (
        (["nope.csv"], "waybill: nope.csv: no such file or directory\n"),
        ([str(source), "-o", "/nonexist/x.csv"], "-o /nonexist/x.csv: there is no folder /nonexist\n"),
        ([str(source), "-o", str(tmp_path)], f"-o {tmp_path}: this is a folder; name a file\n"),
    ):  # fmt: skip
        assert main(["label", *words]) == 1
        assert capsys.readouterr().err.endswith(said)


CHECKED = {
    "in.csv": (b'log,n\n"a\nb",1\n,2\nc\n"d,3\n', {"cells": 2, "message": 1, "quote": 1}, 4),
    "in.csv.gz": (gzip.compress(b"log,n\na,1\n", mtime=0), {}, 1),
    "in.ndjson": (b'{"log":"a"}\n\nno\n{"n":1}\n', {"json": 1, "message": 1}, 3),
    "in.json": (b'[{"log":"a"},{"n":1}]', {"message": 1}, 2),
    "in.log": (b"a\n\nM\xc3\xbcller\n\xff\n", {"bytes": 1}, 3),
}


@pytest.mark.parametrize("name", CHECKED)
def test_a_file_is_only_read_and_what_is_wrong_with_it_is_named(label: Label, name: str) -> None:
    data, kinds, rows = CHECKED[name]
    encoding = ("--encoding", "utf-8") if name == "in.log" else ()
    done = label(name, data, "--check", "--progress", "json", *encoding)
    told = [json.loads(line) for line in done.said.splitlines()]
    assert done.out is None
    assert done.code == (1 if kinds else 0)
    assert (told[-1]["kinds"], told[-1]["rows"]) == (kinds, rows)
    lines = {(one["kind"], one["row"]) for one in told if "fault" in one}
    if name == "in.csv":
        assert ("message", "row 2 (line 4)") in lines
        assert ("cells", "row 3 (line 5)") in lines
        assert ("quote", "row 4 (line 6)") in lines
    if name == "in.ndjson":
        assert lines == {("json", "line 3"), ("message", "line 4")}


def test_a_sheet_of_a_workbook_may_be_named(label: Label) -> None:
    book = workbook([["log"], [DISK]], [["log"], [LOGIN]])
    done = label("in.xlsx", book, "--sheet", "Sheet1")
    assert done.out is not None
    assert LOGIN.encode() in done.out
    done = label("in.xlsx", book, "--sheet", "None")
    assert "no sheet is called 'None'; there are: Sheet, Sheet1" in done.said


def test_a_hidden_sheet_is_read_where_no_other_has_messages(label: Label) -> None:
    book = pytest.importorskip("openpyxl").Workbook()
    book.active.append(["log"])
    book.active.append([DISK])
    book.active.sheet_state = "hidden"
    for head, read in (("n", DISK), ("log", LOGIN)):
        sheet = book.create_sheet()
        sheet.append([head])
        sheet.append([LOGIN])
        file = io.BytesIO()
        book.save(file)
        done = label("in.xlsx", file.getvalue())
        assert done.out is not None
        assert read.encode() in done.out


def test_an_empty_sheet_is_no_fault(label: Label) -> None:
    done = label("in.xlsx", workbook([]))
    assert (done.code, "the input is empty" in done.said) == (0, True)


def test_faults_are_told_apart_by_kind(label: Label) -> None:
    data = f"log,n\n{DISK},1\n,2\nc\n".encode()
    done = label("in.csv", data, "--on-error", "message=skip")
    assert done.out is not None
    assert [line.split(b",")[0] for line in done.out.splitlines()] == [b"log", DISK.encode(), b"c"]
    done = label("in.csv", data, "--on-error", "skip,cells=fail")
    assert "row 3 (line 4): 1 cells" in done.said
    assert done.code == 1


@pytest.mark.parametrize("name", ["in.csv", "in.log"])
def test_a_guessed_encoding_is_said_to_be_one(label: Label, name: str) -> None:
    data = "log\nДиск заполнен\n".encode("koi8-r")
    assert " (a guess, since it is not UTF-8; --encoding" in label(name, data).said
    assert "(a guess" not in label(name, data, "--encoding", "koi8-r").said
    assert "(a guess" not in label(name, data.decode("koi8-r").encode()).said


def test_letters_of_dos_are_named_where_no_western_letter_can_be_meant(label: Label) -> None:
    data = "log\nKasse für Süden\n"
    assert "such as cp850" in label("in.csv", data.encode("cp850")).said
    assert "cp850" not in label("in.csv", data.encode("cp1252")).said
