"""What people bring in files: which format it is, by its name and by its beginning."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Literal, TypeAlias

from waybill.core.errors import MalformedError
from waybill.core.text import decoded
from waybill.wire.inflate import compression_of, inflated
from waybill.wire.table.dialect import cells_of, find_dialect, normal
from waybill.wire.table.encoding import WIDE, TextDecoder, replaced

__all__ = ["Format", "as_utf8", "form_of", "form_of_magic", "form_of_name", "pieces"]

#: What a file holds.
Format: TypeAlias = Literal["csv", "ndjson", "json", "text", "xlsx", "parquet"]

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".psv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "json",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".parquet": "parquet",
}
_COMPRESSED = (".gz", ".zst", ".zstd")
_ZIP = b"PK\x03\x04"
#: What a file is whatever its name says; the first bytes of workbooks, old or protected, too.
_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (_ZIP, "xlsx"),
    (b"\xd0\xcf\x11\xe0", "xlsx"),
    (b"PAR1", "parquet"),
)
_ONLY_BY_MAGIC = ("xlsx", "parquet")
#: What is often brought and holds no lines to read: how it begins, what it is, what to do.
_UNREADABLE: tuple[tuple[bytes, str], ...] = (
    (b"BZh91AY&SY", "bzip2: unpack it with bunzip2"),
    (b"\xfd7zXZ\x00", "xz: unpack it with xz -d"),
    (b"\x04\x22\x4d\x18", "lz4: unpack it with lz4 -d"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (b"Rar!\x1a\x07", "a RAR archive: unpack it"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"LPKSHHRH", "a journal of systemd: write it with journalctl -o json --file"),
    (b"ElfFile\x00", "a Windows event log: export it as CSV"),
    (b"SQLite format 3\x00", "an SQLite database: export the table as CSV"),
    (b"Obj\x01", "Avro: write it as NDJSON"),
    (b"ARROW1", "Arrow or Feather: write it as CSV or NDJSON"),
    (b"%PDF-", "a PDF: copy its lines to a text file"),
    (b"\x7fELF", "a program"),
)
#: The first member of a zip that is a workbook.
_OF_WORKBOOKS = (b"[Content_Types].xml", b"_rels/", b"docProps/", b"xl/", b"customXml/")
#: Where a zip names its first member, and how much tells what a file is.
_ZIP_NAME_AT = 30
_MAGIC_BYTES = 64
_SAMPLE_BYTES = 64 << 10


def form_of(start: bytes, name: str, names: Sequence[str]) -> tuple[Format, str]:
    """The format of a file called ``name`` that begins with ``start``, and what to say of it.

    What only one format begins like decides before the name, the name before the content; but a
    name of a table does not make a table of JSON. ``names`` are those of columns for messages.
    """
    by_magic = form_of_magic(start)
    if by_magic is not None:
        return by_magic, ""
    text = decoded(start[:_SAMPLE_BYTES]).lstrip("\ufeff \t\r\n\x1e\x00")
    by_name, by_json = form_of_name(name), _form_of_json(text)
    if by_name == "csv" and by_json is not None:
        return by_json, f"holds JSON and is read as {by_json}; --format csv says otherwise"
    if by_name is not None and by_name not in _ONLY_BY_MAGIC:
        return by_name, ""
    found = by_json or _form_of_lines(text, names)
    return found, f"read as {found}; --format says otherwise"


def form_of_name(path: str) -> Format | None:
    """The format by the suffix, behind that of a compression; None for an unknown one."""
    name = PurePath(path)
    if name.suffix.lower() in _COMPRESSED:
        name = name.with_suffix("")
    return _SUFFIXES.get(name.suffix.lower())


def form_of_magic(start: bytes) -> Format | None:
    """The format of a file that only one format begins like, whatever its name; else None."""
    for magic, form in _MAGIC:
        if start.startswith(magic):
            return form
    return None


def _form_of_lines(text: str, names: Sequence[str]) -> Format:
    """What is no JSON: a table by a head that has one of ``names``, else text."""
    dialect = find_dialect(text, names)
    lines = io.StringIO(text[len(dialect.preamble) :], newline="").readlines(1)
    head = next(iter(cells_of(lines, dialect)), [])
    wanted = {normal(name) for name in names}
    if any(normal(name) in wanted for name in head):
        return "csv"
    return "text"


def _form_of_json(text: str) -> Format | None:
    """JSON by its first character."""
    if text.startswith("{"):
        return "ndjson"
    # A line of a log often begins with a bracket, JSON goes on with a value.
    if text.startswith("[") and text[1:].lstrip().startswith(("{", "]", "[")):
        return "json"
    return None


def pieces(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """``chunks``, inflated when they begin as gzip or zstd do.

    Raises:
        MalformedError: ``unsupported_encoding``: no file of records begins so; it says what does.
            Others for what is inflated.
    """
    start, whole = _beginning(chunks)
    compression = compression_of(start)
    if compression is not None:
        start, whole = _beginning(inflated(whole, compression))
    _must_be_readable(start)
    return whole


def _beginning(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """At least as many bytes as tell what it is, and all again."""
    start = b""
    for chunk in chunks:
        start += chunk
        if len(start) >= _MAGIC_BYTES:
            break
    return start, itertools.chain((start,), chunks)


def _must_be_readable(start: bytes) -> None:
    for magic, told in _UNREADABLE:
        if start.startswith(magic):
            raise MalformedError("unsupported_encoding", f"this is {told}")
    if start.startswith(_ZIP) and not start[_ZIP_NAME_AT:].startswith(_OF_WORKBOOKS):
        told = "a zip archive and no workbook: unpack it, or save the sheet as .xlsx or CSV"
        raise MalformedError("unsupported_encoding", f"this is {told}")


def as_utf8(start: bytes, chunks: Iterator[bytes]) -> tuple[str | None, Iterator[bytes]]:
    """UTF-16 or UTF-32, which ``start`` shows, as UTF-8, and its name; else None and as they are.

    ``chunks`` begin with ``start``.
    """
    decoder = TextDecoder()
    decoder.feed(start[:_SAMPLE_BYTES])
    if decoder.name is None or not decoder.name.startswith(WIDE):
        return None, chunks
    return decoder.name, _transcoded(chunks)


def _transcoded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    decoder = TextDecoder()
    for chunk in itertools.chain(chunks, (None,)):
        text = decoder.feed(chunk or b"", is_last=chunk is None)
        yield replaced(text.lstrip("\ufeff")).encode()
