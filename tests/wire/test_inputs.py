"""What a file is: by its first bytes, its name and its content, in this order."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile

import pytest

from waybill.core.errors import MalformedError
from waybill.wire.inputs import form_of, pieces

NAMES = ("log", "message")


@pytest.mark.parametrize(
    ("start", "name", "form"),
    [
        (b"log\nx\n", "a.csv", "csv"),
        (b'{"log":"x"}\n', "a.csv", "ndjson"),
        (b'\xef\xbb\xbf[\n {"log":"x"}]', "A.CSV", "json"),
        ('[{"log":"x"}]'.encode("utf-16"), "a.tsv", "json"),
        (b"[INFO] started,log\n", "a.csv", "csv"),
        (b"log,source\nx,y\n", "export.xlsx", "csv"),
        (b"log,source\nx,y\n", "export.parquet", "csv"),
        (b"PK\x03\x04", "a.csv", "xlsx"),
        (b"PAR1", "-", "parquet"),
        (b"it failed\n", "syslog", "text"),
        (b"{'log': 'x'}\n", "a.txt", "text"),
        (b"{disk} is full\n", "app.log", "text"),
        (b"{}\n", "a", "ndjson"),
        (b'{\n  "log": "x"\n}', "a", "ndjson"),
        (b'{"log":"x"}\n', "a.json.gz", "json"),
    ],
)
def test_bytes_name_and_content_decide_in_turn(start: bytes, name: str, form: str) -> None:
    assert form_of(start, name, NAMES)[0] == form


def test_what_the_name_does_not_say_is_told() -> None:
    assert "holds JSON and is read as ndjson" in form_of(b'{"log":"x"}', "a.csv", NAMES)[1]
    assert form_of(b"log\nx\n", "a.csv", NAMES)[1] == ""
    assert "read as csv" in form_of(b"log\nx\n", "export.xlsx", NAMES)[1]


@pytest.mark.parametrize("encoding", ["shift_jis", "euc_jp", "cp932", "utf-16-le", "utf-32-be"])
@pytest.mark.parametrize("rows", [1, 50])
def test_a_named_encoding_decides_what_is_text(encoding: str, rows: int) -> None:
    text = "日時,メッセージ\r\n" + "2026-11-27,ディスク 3 がいっぱいです\r\n" * rows
    assert form_of(text.encode(encoding), "a.csv", NAMES, encoding)[0] == "csv"
    assert form_of(text.encode(encoding), "a", ("メッセージ",), encoding)[0] == "csv"


def test_what_is_refused_for_its_characters_may_be_of_another_encoding() -> None:
    start = "日時,メッセージ\r\n1,ディスク 3 がいっぱいです\r\n".encode("shift_jis")
    with pytest.raises(MalformedError, match="name its encoding"):
        form_of(start, "a.csv", NAMES)
    with pytest.raises(MalformedError, match="--format text"):
        form_of(bytes(range(1, 32)) * 9, "a.csv", NAMES, "latin-1")


def zipped(name: str, content: str = "log\nx\n") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, content)
    return out.getvalue()


UNREADABLE = {
    "bunzip2": bz2.compress(b"log\nx\n"),
    "xz -d": lzma.compress(b"log\nx\n"),
    "lz4 -d": b"\x04\x22\x4d\x18\x64",
    "journalctl -o json": b"LPKSHHRH" + bytes(64),
    "Windows event log": b"ElfFile\x00" + bytes(64),
    "SQLite": b"SQLite format 3\x00",
    "Avro": b"Obj\x01\x04",
    "lzma": lzma.compress(b"log\nx\n", format=lzma.FORMAT_ALONE),
    "uncompress": b"\x1f\x9d\x90\x6c",
    "snappy": b"\xff\x06\x00\x00sNaPpY",
    "capture of packets": b"\xd4\xc3\xb2\xa1\x02\x00",
    "HDF5": b"\x89HDF\r\n\x1a\n",
    "a picture": b"\x89PNG\r\n\x1a\n",
    "PDF": b"%PDF-1.7\n",
    "zip archive and no workbook": zipped("logs/a.csv"),
    r"\(\.ods\)": zipped("mimetype", "application/vnd.oasis.opendocument.spreadsheet"),
    r"\(\.odt\)": zipped("mimetype", "application/vnd.oasis.opendocument.text"),
    "an empty zip": zipped("a")[-22:],
}


@pytest.mark.parametrize("told", UNREADABLE)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_holds_no_lines_is_named_and_what_to_do(told: str, size: int) -> None:
    data = UNREADABLE[told]
    for body in (data, gzip.compress(data)):
        chunks = (body[at : at + size] for at in range(0, len(body), size))
        with pytest.raises(MalformedError, match=told) as caught:
            list(pieces(chunks))
        assert caught.value.code == "unsupported_encoding"


@pytest.mark.parametrize(
    "text", [b"", b"B", b"BZhang logged in\n", b"Object 1\n", b"PKI failed\n", b"LZIP 1\n"]
)
def test_a_text_that_begins_alike_is_a_text(text: bytes) -> None:
    assert b"".join(pieces(iter([text[:1], text[1:]]))) == text


def test_a_workbook_is_no_archive() -> None:
    data = zipped("[Content_Types].xml")
    assert b"".join(pieces(iter([data]))) == data
