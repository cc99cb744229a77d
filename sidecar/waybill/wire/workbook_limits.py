"""What a workbook may hold before anything of it is read: an ``.xlsx`` is a zip of XML files.

A small file can stand for very much: parts that inflate to a thousand times their size, entities,
millions of shared strings, which are held in memory all at once. Sizes are those that the zip
declares; its reader gives no byte more.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from waybill.core.errors import WorkbookError

__all__ = ["MOST_COLUMNS", "MOST_ROWS", "refuse_bomb"]

#: Excel's own limit of a sheet.
MOST_ROWS = 1_048_576
#: Excel has 16,384; a row of one cell in the last column would be as long as 16,384 empty ones.
MOST_COLUMNS = 1024
_MOST_PARTS = 4096
#: A sheet of 1,048,576 rows and ten columns has some 500 MB.
_MOST_PART_BYTES = 1 << 30
#: deflate reaches 1,032; the same line a million times, numbered, stays below 100.
_MOST_RATIO = 400
_SMALL_BYTES = 64 << 20
_MOST_STRINGS_BYTES = 256 << 20
#: One takes 60 bytes and more.
_MOST_STRINGS = 4_000_000
#: Fewer bytes hold fewer strings than that.
_FEW_STRINGS_BYTES = 16 << 20
_CONTENT = "[Content_Types].xml"
_SHOWN_NAMES = 3
#: What is made like a workbook and is none, by a part that only it has.
_OTHER_DOCUMENTS = (
    ("xl/workbook.bin", "a binary workbook (.xlsb): save it as .xlsx or CSV"),
    ("word/document.xml", "a Word document: save its lines as plain text"),
    ("ppt/presentation.xml", "a presentation: save its lines as plain text"),
    ("visio/document.xml", "a drawing: save its lines as plain text"),
)
#: A DTD stands before the first element.
_PROLOG_BYTES = 64 << 10
_DTD = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_STRING = re.compile(rb"</(?:\w{1,16}:)?si\s*>|<(?:\w{1,16}:)?si\s*/>")
#: Longer than any end of a string: what is cut between two chunks is looked at again.
_TAIL_BYTES = 40
_CHUNK_BYTES = 1 << 20


def refuse_bomb(file: BinaryIO) -> None:
    """Leave ``file`` at its beginning. Raises WorkbookError, zipfile.BadZipFile."""
    with zipfile.ZipFile(file) as book:
        parts = book.infolist()
        _check_names(parts)
        _check_sizes(parts)
        for part in parts:
            if part.filename.endswith((".xml", ".rels")):
                _check_prolog(book, part)
            if part.filename.lower().endswith("sharedstrings.xml"):
                _check_strings(book, part)
    file.seek(0)


def _check_names(parts: list[zipfile.ZipInfo]) -> None:
    if len(parts) > _MOST_PARTS:
        detail = f"it has {len(parts):,} parts, at most {_MOST_PARTS:,} are read"
        raise WorkbookError("parts", detail)
    names = [part.filename for part in parts]
    if "mimetype" in names or any(name.endswith(".iwa") for name in names):
        detail = "it is of OpenDocument or iWork: export it as .xlsx or CSV"
        raise WorkbookError("not_a_workbook", detail)
    if _CONTENT not in names:
        held = ", ".join(name[:60] for name in names[:_SHOWN_NAMES]) or "nothing"
        detail = f"it is a zip of other files ({held}): send one of those"
        raise WorkbookError("not_a_workbook", detail)
    for name, told in _OTHER_DOCUMENTS:
        if name in names:
            raise WorkbookError("not_a_workbook", f"it is {told}")
    if any(part.flag_bits & 1 for part in parts):
        raise WorkbookError("protected", "it has a password: save it without one")


def _check_sizes(parts: list[zipfile.ZipInfo]) -> None:
    whole = 0
    packed = 1
    for part in parts:
        if part.file_size > _MOST_PART_BYTES:
            raise WorkbookError("size", f"{part.filename[:60]} has {part.file_size >> 20:,} MB")
        whole += part.file_size
        packed += part.compress_size
    if whole > _SMALL_BYTES and whole / packed > _MOST_RATIO:
        detail = f"{packed:,} bytes would become {whole >> 20:,} MB: that is not a table"
        raise WorkbookError("ratio", detail)


def _check_prolog(book: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    with book.open(part) as reader:
        begin = reader.read(_PROLOG_BYTES)
    if _DTD.search(begin.replace(b"\0", b"")):
        detail = f"{part.filename[:60]} declares entities; no spreadsheet program writes them"
        raise WorkbookError("entities", detail)


def _check_strings(book: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    if part.file_size > _MOST_STRINGS_BYTES:
        raise WorkbookError("strings", f"its shared texts have {part.file_size >> 20:,} MB")
    if part.file_size < _FEW_STRINGS_BYTES:
        return
    number = sum(_counted(book, part))
    if number > _MOST_STRINGS:
        detail = f"it has {number:,} shared texts, at most {_MOST_STRINGS:,} are read"
        raise WorkbookError("strings", detail)


def _counted(book: zipfile.ZipFile, part: zipfile.ZipInfo) -> Iterator[int]:
    """How many strings end in each chunk."""
    tail = b""
    with book.open(part) as reader:
        while chunk := reader.read(_CHUNK_BYTES):
            window = tail + chunk.replace(b"\0", b"")
            ends = [found.end() for found in _STRING.finditer(window)]
            yield len(ends)
            # What was counted is not counted again.
            last = ends[-1] if ends else 0
            tail = window[max(last, len(window) - _TAIL_BYTES) :]
