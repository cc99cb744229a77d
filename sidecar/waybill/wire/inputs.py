"""What people bring in files: which format it is, by its name and by its beginning."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Literal, TypeAlias

from waybill.core.text import decoded
from waybill.wire.inflate import compression_of, inflated
from waybill.wire.table.dialect import cells_of, find_dialect, normal
from waybill.wire.table.encoding import WIDE, TextDecoder, replaced

__all__ = ["Format", "as_utf8", "form_of_content", "form_of_magic", "form_of_name", "pieces"]

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
#: What a file is whatever its name says; the first bytes of workbooks, old or protected, too.
_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (b"PK\x03\x04", "xlsx"),
    (b"\xd0\xcf\x11\xe0", "xlsx"),
    (b"PAR1", "parquet"),
)
_SAMPLE_BYTES = 64 << 10


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


def form_of_content(start: bytes, names: Sequence[str]) -> Format:
    """The format of what begins with ``start``: JSON by its first character, a table by a head that
    has one of ``names``, else text.
    """
    text = decoded(start[:_SAMPLE_BYTES]).lstrip("\ufeff \t\r\n\x1e\x00")
    if text.startswith("{"):
        return "ndjson"
    # A line of a log often begins with a bracket, JSON goes on with a value.
    if text.startswith("[") and text[1:].lstrip().startswith(("{", "]", "[")):
        return "json"
    dialect = find_dialect(text, names)
    lines = io.StringIO(text[len(dialect.preamble) :], newline="").readlines(1)
    head = next(iter(cells_of(lines, dialect)), [])
    wanted = {normal(name) for name in names}
    if any(normal(name) in wanted for name in head):
        return "csv"
    return "text"


def pieces(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """``chunks``, inflated when they begin as gzip or zstd do. Raises MalformedError."""
    start = b""
    for chunk in chunks:
        start += chunk
        if len(start) >= 4:
            break
    whole = itertools.chain((start,), chunks)
    compression = compression_of(start)
    if compression is None:
        return whole
    return inflated(whole, compression)


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
