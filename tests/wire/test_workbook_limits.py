"""Workbooks that are small to send and large to read are refused with a code."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import pytest

from waybill.core.errors import WorkbookError
from waybill.wire import workbook, workbook_limits
from waybill.wire.workbook import read_sheet

openpyxl = pytest.importorskip("openpyxl")
CONTENT = "[Content_Types].xml"
SHEET = "xl/worksheets/sheet1.xml"
STRINGS = "xl/sharedStrings.xml"
LINKS = "xl/externalLinks/externalLink1.xml"
DTD = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "ccc">]><a>&b;</a>'
ROWS = (
    b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>%s'
    b"</sheetData></worksheet>"
)


def made() -> bytes:
    """A workbook of one sheet with a column `log`."""
    book = openpyxl.Workbook()
    for cell in ("log", "disk full", "=1+1"):
        book.active.append([cell])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def changed(parts: Mapping[str, bytes]) -> bytes:
    """The same with other parts in the place of its own, or beside them."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(made())) as old, zipfile.ZipFile(out, "w", 8) as new:
        for name in {*old.namelist(), *parts}:
            new.writestr(name, parts[name] if name in parts else old.read(name))
    return out.getvalue()


def read(data: bytes) -> bytes:
    return b"".join(read_sheet(io.BytesIO(data), ["log"]).pieces)


def row(number: int, column: str = "A") -> bytes:
    return b'<row r="%d"><c r="%s%d"><v>1</v></c></row>' % (number, column.encode(), number)


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        for name in names:
            new.writestr(name, made())
    return out.getvalue()


BOMBS = {
    "ratio": changed({SHEET: ROWS % (b" " * (65 << 20))}),
    "entities": changed({SHEET: DTD}),
    "not_a_workbook": zipped("a.xlsx", "b.xlsx"),
    "columns": changed({SHEET: ROWS % row(1, "XFD")}),
    "rows": changed({SHEET: ROWS % (row(1) + row(10**9))}),
    "unreadable": changed({SHEET: b"<worksheet>"}),
}


@pytest.mark.parametrize("code", BOMBS)
def test_what_would_become_too_much_is_refused_with_a_code(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "MOST_ROWS", 1000)
    with pytest.raises(WorkbookError, match=rf"\[{code}\]") as found:
        read(BOMBS[code])
    assert found.value.code == code
    assert ("save the sheet as" in str(found.value)) is (code != "not_a_workbook")


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("xl/workbook.bin", "binary workbook"),
        ("word/document.xml", "Word document"),
        ("ppt/presentation.xml", "presentation"),
        ("b.xlsx", "zip of other files"),
        ("mimetype", "OpenDocument or iWork"),
        ("Index/Document.iwa", "OpenDocument or iWork"),
    ],
)
def test_what_is_made_like_a_workbook_is_named(part: str, told: str) -> None:
    names = ("a.xlsx",) if told.startswith("zip") else ("[Content_Types].xml",)
    with pytest.raises(WorkbookError, match=told) as found:
        read(zipped(*names, part))
    assert found.value.code == "not_a_workbook"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_in_every_part_and_encoding(encoding: str) -> None:
    for name in (STRINGS, LINKS, "xl/_rels/workbook.xml.rels", "xl/styles.xml"):
        data = changed({name: DTD.decode().encode(encoding)})
        with pytest.raises(WorkbookError, match=r"\[entities\]"):
            read(data)


@pytest.mark.parametrize(
    "text", [b"<si><t>a%d</t></si>", b"<x:si><x:t>%d</x:t></x:si >", b"<si/><!-- %d -->"]
)
def test_shared_texts_are_counted_where_they_are_many(
    monkeypatch: pytest.MonkeyPatch, text: bytes
) -> None:
    monkeypatch.setattr(workbook_limits, "_FEW_STRINGS_BYTES", 0)
    monkeypatch.setattr(workbook_limits, "_CHUNK_BYTES", 1000)
    monkeypatch.setattr(workbook_limits, "_MOST_STRINGS", 500)
    data = changed({STRINGS: b"<sst>" + b"".join(text % i for i in range(501)) + b"</sst>"})
    with pytest.raises(WorkbookError, match=r"it has 501 shared texts.*\[strings\]"):
        read(data)
    monkeypatch.setattr(workbook_limits, "_MOST_STRINGS_BYTES", 1000)
    with pytest.raises(WorkbookError, match=r"\[strings\]"):
        read(data)


def test_more_than_a_part_may_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook_limits, "_MOST_PART_BYTES", 100)
    with pytest.raises(WorkbookError, match=r"\[size\]"):
        read(made())
    monkeypatch.setattr(workbook_limits, "_MOST_PARTS", 3)
    with pytest.raises(WorkbookError, match=r"\[parts\]"):
        read(made())


def test_a_password_is_told() -> None:
    data = bytearray(made())
    # The flag of a password in the directory at the end.
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    with pytest.raises(WorkbookError, match=r"\[protected\]"):
        read(bytes(data))


def test_links_to_other_files_are_not_read() -> None:
    link = b'<externalLink xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"/>'
    assert read(changed({LINKS: link})) == b"log\ndisk full\n\n"
