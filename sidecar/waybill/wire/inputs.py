"""What people bring in files: which format it is, by its name and by its beginning."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Literal, TypeAlias

from waybill.core.errors import MalformedError
from waybill.wire.compression import compression_of
from waybill.wire.inflate import inflated
from waybill.wire.table.dialect import cells_of, find_dialect, normal
from waybill.wire.table.encoding import WIDE, TextDecoder, replaced

__all__ = [
    "Format",
    "as_utf8",
    "form_of",
    "form_of_magic",
    "form_of_name",
    "pieces",
]

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
    (b"MSCF\x00\x00\x00\x00", "a cabinet archive: unpack it"),
    (b"\x1f\x9d", "compress: unpack it with uncompress"),
    (b"\x1f\xa0", "compress: unpack it with uncompress"),
    (b"]\x00\x00\x80\x00", "lzma: unpack it with xz -d"),
    (b"]\x00\x00\x10\x00", "lzma: unpack it with xz -d"),
    (b"LZIP\x01", "lzip: unpack it with lzip -d"),
    (b"\x89LZO\x00", "lzop: unpack it with lzop -d"),
    (b"\xff\x06\x00\x00sNaPpY", "snappy: unpack it, or compress it with gzip or zstd"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"LPKSHHRH", "a journal of systemd: write it with journalctl -o json --file"),
    (b"ElfFile\x00", "a Windows event log: export it as CSV"),
    (b"SQLite format 3\x00", "an SQLite database: export the table as CSV"),
    (b"Obj\x01", "Avro: write it as NDJSON"),
    (b"ARROW1", "Arrow or Feather: write it as CSV or NDJSON"),
    (b"\xd4\xc3\xb2\xa1", "a capture of packets: write it with tshark -T fields"),
    (b"\xa1\xb2\xc3\xd4", "a capture of packets: write it with tshark -T fields"),
    (b"\x4d\x3c\xb2\xa1", "a capture of packets: write it with tshark -T fields"),
    (b"\x89HDF\r\n", "HDF5: write it as CSV or NDJSON"),
    (b"\x93NUMPY", "an array of NumPy: write it as CSV"),
    (b"\x89PNG\r\n", "a picture: Waybill reads text"),
    (b"\xff\xd8\xff\xe0", "a picture: Waybill reads text"),
    (b"\xff\xd8\xff\xe1", "a picture: Waybill reads text"),
    (b"%PDF-", "a PDF: copy its lines to a text file"),
    (b"\x7fELF", "a program"),
)
#: Documents in a zip, by what it begins with behind its head: a first member that names the kind.
_DOCUMENTS: tuple[tuple[bytes, str], ...] = (
    (b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet", "an OpenDocument sheet (.ods)"),
    (b"mimetypeapplication/vnd.oasis.opendocument", "an OpenDocument text (.odt)"),
    (b"mimetypeapplication/epub", "a book (.epub)"),
)
#: A tar archive says so behind its first name and numbers.
_TAR = b"ustar"
_TAR_AT = 257
#: Text of other kinds, by how it begins: what it is, what to do.
_FOREIGN_TEXT: tuple[tuple[str, str], ...] = (
    ("__CURSOR=", "a journal of systemd in its export format: write it with journalctl -o json"),
    ("{\\rtf", "RTF: save it as plain text"),
    ("%!PS", "PostScript"),
    ("-----BEGIN", "a key or certificate"),
    ("<!doctype html", "HTML: save it as CSV"),
    ("version https://git-lfs.", "a pointer of Git LFS: fetch the file with git lfs pull"),
    ("<html", "HTML: save it as CSV"),
    ("<table", "HTML: save it as CSV"),
    ("<?mso-application", "a spreadsheet in XML: save it as .xlsx or CSV"),
    ("<workbook", "a spreadsheet in XML: save it as .xlsx or CSV"),
)
_OBJECT = re.compile(r"\{\s*(?:[\"}]|\Z)")
_XML_HEAD = re.compile(r"<\?xml[^>]*\?>\s*", re.IGNORECASE)
_XML = "XML: write it as CSV or NDJSON, one record a row"
#: Text has hardly any control characters beside these: colours, form feeds, paddings of NUL.
_USUAL_CONTROLS = "\t\n\r\x0b\x0c\x08\x1a\x1b\x00\x1e\x1f\x01\x85"
_CONTROL = re.compile(f"(?![{_USUAL_CONTROLS}])[\x00-\x1f\x7f-\x9f]")
_CONTROL_SHARE = 0.05
#: Fewer characters say nothing about what they are.
_LEAST_CHARS = 32
#: So often a file may be compressed.
_MOST_LAYERS = 3
#: The first member of a zip that is a workbook.
_OF_WORKBOOKS = (b"[Content_Types].xml", b"_rels/", b"docProps/", b"xl/", b"customXml/")
#: Where a zip names its first member, and how much tells what a file is.
_ZIP_NAME_AT = 30
_MAGIC_BYTES = _TAR_AT + len(_TAR)
_SAMPLE_BYTES = 64 << 10
#: So many lines are looked at for the head of a table.
_PROBED_LINES = 40
_SAMPLE_CHARS = 4096
_OTHERWISE = "; --format text takes it line by line"
_OTHER_ENCODING = (
    "; name its encoding (--encoding shift_jis, gb18030 ...) where it is text all the same"
)


def form_of(
    start: bytes, name: str, names: Sequence[str], encoding: str | None = None
) -> tuple[Format, str]:
    """The format of a file called ``name`` that begins with ``start``, and what to say of it.

    It is read in ``encoding``, where somebody named one.

    What only one format begins like decides before the name, the name before the content; but a
    name of a table does not make a table of JSON. ``names`` are those of columns for messages.

    Raises:
        MalformedError: ``unsupported_encoding``: it is not text of lines; it says what it is.
            ``csv_encoding``: it is not of the encoding that was named.
    """
    by_magic = form_of_magic(start)
    if by_magic is not None:
        return by_magic, ""
    decoded = TextDecoder(encoding).feed(start[:_SAMPLE_BYTES], is_last=True)
    _refuse_foreign(decoded, is_named=encoding is not None)
    text = replaced(decoded).lstrip("\ufeff \t\r\n\x1a\x1e\x00")
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
    """What is not JSON: a table by a head that has one of ``names``, else text."""
    dialect = find_dialect(text, names)
    lines = io.StringIO(text[len(dialect.preamble) :], newline="").readlines()[:_PROBED_LINES]
    rows = [row for row in cells_of(lines, dialect) if "".join(row).strip()]
    head = next(iter(rows[dialect.above :]), [])
    # One word is a head of one column; a path of several is not a head.
    wanted = {normal(name) for name in names if len(head) > 1 or "." not in name}
    if any(normal(name) in wanted for name in head):
        return "csv"
    return "text"


def _form_of_json(text: str) -> Format | None:
    """JSON by its first characters; a dict of Python or a word in braces is not JSON."""
    if _OBJECT.match(text):
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
    for _ in range(_MOST_LAYERS):
        compression = compression_of(start)
        if compression is None:
            break
        start, whole = _beginning(inflated(whole, compression))
    _must_be_readable(start)
    return whole


def _beginning(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """At least as many bytes as tell what it is, and all again.

    Where they break off behind the first bytes, that is said when these were taken.
    """
    start = b""
    try:
        for chunk in chunks:
            start += chunk
            if len(start) >= _MAGIC_BYTES:
                break
    except MalformedError as error:
        if not start:
            raise
        chunks = _raising(error)
    return start, itertools.chain((start,), chunks)


def _raising(error: MalformedError) -> Iterator[bytes]:
    yield from ()
    raise error


def _refuse_foreign(text: str, *, is_named: bool) -> None:
    """Refuse what is not text of lines, whatever its name says.

    ``is_named``: somebody said which encoding it has.

    Raises:
        MalformedError: ``unsupported_encoding``, with what it is.
    """
    whole = text[:_SAMPLE_CHARS].lstrip("\ufeff \t\r\n").lower()
    begin = _XML_HEAD.sub("", whole)
    for beginning, told in _FOREIGN_TEXT:
        if begin.startswith(beginning.lower()):
            raise MalformedError("unsupported_encoding", f"this is {told}{_OTHERWISE}")
    if begin != whole:
        raise MalformedError("unsupported_encoding", f"this is {_XML}{_OTHERWISE}")
    if len(text) < _LEAST_CHARS:
        return
    odd = len(_CONTROL.findall(text))
    if odd > _CONTROL_SHARE * len(text):
        otherwise = _OTHERWISE if is_named else _OTHER_ENCODING
        raise MalformedError(
            "unsupported_encoding", f"this is not text: it is full of control characters{otherwise}"
        )


def _must_be_readable(start: bytes) -> None:
    for magic, told in _UNREADABLE:
        if start.startswith(magic):
            raise MalformedError("unsupported_encoding", f"this is {told}")
    if start[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR:
        raise MalformedError("unsupported_encoding", "this is a tar archive: unpack it")
    if start.startswith(_ZIP) and not start[_ZIP_NAME_AT:].startswith(_OF_WORKBOOKS):
        raise MalformedError("unsupported_encoding", f"this is {_of_zip(start[_ZIP_NAME_AT:])}")


def _of_zip(inner: bytes) -> str:
    """What a zip is whose first member, with its content, is ``inner``, and what to do."""
    for beginning, told in _DOCUMENTS:
        if inner.startswith(beginning):
            return f"{told}: save it as .xlsx, CSV or plain text"
    return "a zip archive and no workbook: unpack it, or save the sheet as .xlsx or CSV"


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
