"""Reads messages from files, for every tool: CSV, NDJSON, JSON, Parquet, plain text, and stdin.

The message, source and label stand where the settings of the service say (``fields.message``,
``fields.source``, ``fields.label``), and a record that is labelled already is read like any other.

    for line in read_messages(Path("app.ndjson"), settings.fields):
        print(line.row, line.message)
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from waybill.core.errors import WaybillError
from waybill.learn.chain import Line
from waybill.learn.json_stream import values
from waybill.settings.schema import FieldSettings
from waybill.wire.csv import RowSplitter
from waybill.wire.members import Members, Places

__all__ = ["FORMATS", "STDIN", "format_of", "line_of", "read_messages", "read_rows"]

STDIN = "-"
#: What a file holds, by its suffix.
SUFFIXES = {
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "json",
    ".parquet": "parquet",
}
FORMATS = ("csv", "ndjson", "json", "parquet", "text")

_CHUNK_BYTES = 1 << 20
#: Longest CSV row: a quote that is never closed must not take the whole file into one cell.
_ROW_CHARS = 64 << 20


def format_of(path: Path | str, default: str | None = None) -> str | None:
    """One of `FORMATS` by the suffix of ``path``; ``default`` for an unknown one."""
    return SUFFIXES.get(Path(path).suffix.lower(), default)


def read_messages(
    path: Path | str, fields: FieldSettings, form: str | None = None
) -> Iterator[Line]:
    """The records of a file, in order; ``-`` is stdin. ``form`` is one of `FORMATS`.

    Without ``form`` the suffix decides, and the content where that is unknown. A record without a
    message, or one that cannot be read, has the message None.

    Raises WaybillError for a file that cannot be read, or a CSV that has no column for messages.
    """
    places = Places(fields)
    for row, members in enumerate(read_rows(path, form, columns=fields.message), 1):
        if row == 1:
            _check_columns(path, members, places)
        yield line_of(members, row, places)


def read_rows(
    path: Path | str,
    form: str | None = None,
    *,
    columns: Sequence[str] = (),
    is_strict: bool = False,
) -> Iterator[Members]:
    """The records of a file as they are: columns or members by name; plain text has only ``log``.

    Where neither ``form`` nor the suffix says what it is, a first line that names one of
    ``columns`` is the head of a table. A record that cannot be read has no members, or with
    ``is_strict`` raises WaybillError.
    """
    try:
        if str(path) == STDIN:
            yield from _rows(STDIN, sys.stdin.buffer, form, columns, is_strict)
            return
        with Path(path).open("rb") as file:
            yield from _rows(path, file, form or format_of(path), columns, is_strict)
    except (OSError, UnicodeDecodeError) as error:
        raise WaybillError(f"{path}: {error}") from error


def line_of(members: Members, row: int, places: Places) -> Line:
    """The record as a line."""
    return Line(
        places.message_of(members),
        places.source_of(members),
        places.label_of(members),
        row,
        members,
    )


def _check_columns(path: Path | str, members: Members, places: Places) -> None:
    """Raise WaybillError for a table that has no column for messages."""
    if not isinstance(members, Row) or any(name in members for name in places.message_names):
        return
    wanted = ", ".join(places.message_names)
    found = ", ".join(members)
    raise WaybillError(
        f"{path}: row 1: no message: no column of {wanted} (fields.message); there are: {found}"
    )


class Row(dict[str, object]):
    """A record of a table: each has the same columns."""


def _rows(
    path: Path | str, file: IO[bytes], form: str | None, columns: Sequence[str], is_strict: bool
) -> Iterator[Members]:
    if form == "parquet":
        yield from _parquet(path, file)
        return
    if form == "csv" and not is_strict:
        yield from _table(path, iter(lambda: file.read(_CHUNK_BYTES), b""))
        return
    data = file.read()
    text = data.decode("utf-8-sig", "strict" if is_strict else "replace")
    if form is None:
        form = _guess(text, columns)
    if form == "csv":
        yield from _table(path, iter([data]))
    elif form == "text":
        yield from ({"log": line} for line in text.splitlines() if line.strip())
    else:
        yield from _objects(path, text, is_strict)


def _guess(text: str, columns: Sequence[str]) -> str:
    """JSON by its first character, a table by the names of its columns, else plain text."""
    start = text.lstrip()
    if start.startswith(("{", "[")):
        return "json"
    head = start.split("\n", 1)[0]
    names = [name.strip(' "\r') for name in head.split(",")]
    if any(name in columns for name in names):
        return "csv"
    return "text"


def _table(path: Path | str, chunks: Iterator[bytes]) -> Iterator[Row]:
    splitter = RowSplitter(_ROW_CHARS)
    header: list[str] | None = None
    for data in itertools.chain(chunks, (None,)):
        for cells in splitter.feed(data or b"", is_last=data is None):
            if header is None:
                header = [name.strip() for name in cells]
            else:
                yield Row(zip(header, cells, strict=False))
    if header is None:
        raise WaybillError(f"{path}: the file is empty")


def _objects(path: Path | str, text: str, is_strict: bool) -> Iterator[Members]:
    for row, value in enumerate(values(text), 1):
        if isinstance(value, dict):
            yield value
        elif is_strict:
            raise WaybillError(f"{path}: row {row}: no JSON object")
        else:
            yield {}


def _parquet(path: Path | str, file: IO[bytes]) -> Iterator[Row]:
    from pyarrow import ArrowException, parquet

    try:
        for batch in parquet.ParquetFile(file).iter_batches():
            for row in batch.to_pylist():
                yield Row(row)
    except ArrowException as error:
        raise WaybillError(f"{path}: {error}") from error
