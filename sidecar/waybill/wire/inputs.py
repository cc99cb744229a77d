"""What people bring in files: which format it is, by its name and by its beginning."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import BinaryIO, Literal, TypeAlias

from waybill.core.errors import WaybillError
from waybill.core.text import decoded
from waybill.wire.inflate import compression_of, inflated
from waybill.wire.table.dialect import cells_of, find_dialect, normal

__all__ = ["Format", "form_of_content", "form_of_name", "pieces", "sheet_as_csv"]

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
_SAMPLE_BYTES = 64 << 10


def form_of_name(path: str) -> Format | None:
    """The format by the suffix, behind that of a compression; None for an unknown one."""
    name = PurePath(path)
    if name.suffix.lower() in _COMPRESSED:
        name = name.with_suffix("")
    return _SUFFIXES.get(name.suffix.lower())


def form_of_content(start: bytes, names: Sequence[str]) -> Format:
    """The format of what begins with ``start``: JSON by its first character, a table by a head that
    has one of ``names``, else text.
    """
    if start.startswith(_ZIP):
        return "xlsx"
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


def sheet_as_csv(file: BinaryIO) -> Iterator[bytes]:
    """The first sheet of an ``.xlsx`` workbook as CSV in UTF-8. Raises WaybillError."""
    try:
        from openpyxl import load_workbook
    except ModuleNotFoundError:
        raise WaybillError(
            "openpyxl is missing; install it with: pip install 'waybill-sidecar[files]', "
            "or save the sheet as CSV"
        ) from None
    try:
        book = load_workbook(file, read_only=True, data_only=True)
        for row in book.worksheets[0].iter_rows(values_only=True):
            out = io.StringIO()
            csv.writer(out, lineterminator="\n").writerow(row)
            yield out.getvalue().encode()
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise WaybillError(f"the workbook cannot be read: {error}") from error
    except Exception as error:
        if type(error).__module__.startswith(("openpyxl", "zipfile", "xml")):
            raise WaybillError(f"the workbook cannot be read: {error}") from error
        raise
