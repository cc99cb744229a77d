"""Reads messages from files, for every tool: CSV, NDJSON, JSON, Parquet, plain text, and stdin.

The message, source and label stand where the settings of the service say (``fields.message``,
``fields.source``, ``fields.label``), and a record that is labelled already is read like any other.

    for line in read_messages(Path("app.ndjson"), settings.fields):
        print(line.row, line.message)
"""

from __future__ import annotations

import io
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from waybill.core.errors import MalformedError, WaybillError
from waybill.core.files import folder_advice
from waybill.core.pattern import MEMBERS
from waybill.core.text import decoded
from waybill.learn.chain import Line
from waybill.learn.json_stream import values
from waybill.settings.schema import FieldSettings
from waybill.wire.inputs import form_of, form_of_magic, form_of_name, pieces
from waybill.wire.members import Members, Places, named
from waybill.wire.table.columns import DEFAULT
from waybill.wire.table.dialect import normal
from waybill.wire.table.table import Table
from waybill.wire.workbook import read_sheet

__all__ = ["FORMATS", "STDIN", "format_of", "line_of", "read_messages", "read_rows"]

STDIN = "-"
FORMATS = ("csv", "ndjson", "json", "parquet", "text", "xlsx")

_CHUNK_BYTES = 1 << 20
#: Longest CSV row: a quote that is never closed must not take the whole file into one cell.
_ROW_CHARS = 8 << 20


def format_of(path: Path | str) -> str | None:
    """One of `FORMATS` by the suffix of ``path``; None for an unknown one."""
    return form_of_name(str(path))


def read_messages(path: Path | str, fields: FieldSettings) -> Iterator[Line]:
    """The records of a file, in order; ``-`` is stdin.

    The suffix says what it is, and the content where that is unknown. A record without a
    message, or one that cannot be read, has the message None.

    Raises WaybillError for a file that cannot be read, one that holds patterns, and a CSV that has
    no column for messages.
    """
    places = Places(fields)
    for row, members in enumerate(read_rows(path, fields=fields), 1):
        if row == 1:
            _check_columns(path, members, places)
            _check_kind(path, members, places)
        yield line_of(members, row, places)


def read_rows(
    path: Path | str,
    form: str | None = None,
    *,
    fields: FieldSettings | None = None,
    is_strict: bool = False,
) -> Iterator[Members]:
    """The records of a file as they are: columns or members by name; plain text has only ``log``.

    Where neither ``form`` nor the suffix says what it is, a first line that names one of
    ``fields.message`` is the head of a table. A column that ``fields`` name in another case is
    there under their name as well. A record that cannot be read has no members, or with
    ``is_strict`` raises WaybillError.
    """
    fields = fields or FieldSettings()
    try:
        if str(path) == STDIN:
            yield from _rows(STDIN, sys.stdin.buffer, form, fields, is_strict)
            return
        with Path(path).open("rb") as file:
            yield from _rows(path, file, form, fields, is_strict)
    except IsADirectoryError as error:
        raise WaybillError(folder_advice(path)) from error
    except OSError as error:
        raise WaybillError(f"{path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, MalformedError) as error:
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
    raise WaybillError(
        f"{path}: row 1: no message: no column of {places.named_messages}; there are: "
        f"{named(members)}. Name yours: --set 'fields.message=[\"NAME\"]'"
    )


def _check_kind(path: Path | str, members: Members, places: Places) -> None:
    """Raise WaybillError for patterns: each would count as one record without a message."""
    if members.keys() >= MEMBERS and places.message_of(members) is None:
        raise WaybillError(
            f"{path}: these are patterns, which stand for records; expected the records themselves"
        )


class Row(dict[str, object]):
    """A record of a table: each has the same columns."""


def _rows(
    path: Path | str, file: BinaryIO, form: str | None, fields: FieldSettings, is_strict: bool
) -> Iterator[Members]:
    if (form or format_of(path)) == "parquet":
        yield from _parquet(path, file)
        return
    chunks = pieces(iter(lambda: file.read(_CHUNK_BYTES), b""))
    start = next(chunks, b"")
    chunks = itertools.chain((start,), chunks)
    form = form_of_magic(start) or form
    if form is None:
        form = form_of(start, str(path), fields.message)[0]
    if form == "xlsx":
        sheet = read_sheet(io.BytesIO(b"".join(chunks)), fields.message)
        print(f"{path}: {sheet.told}", file=sys.stderr)
        chunks = sheet.pieces
    if form in ("csv", "xlsx"):
        yield from _table(path, chunks, fields, is_strict)
        return
    data = b"".join(chunks)
    text = data.decode("utf-8-sig") if is_strict else decoded(data)
    if form == "text":
        lines = io.StringIO(text)
        yield from ({"log": line.rstrip("\r\n")} for line in lines if line.strip())
    else:
        yield from _objects(path, text, is_strict)


def _table(
    path: Path | str, chunks: Iterator[bytes], fields: FieldSettings, is_strict: bool
) -> Iterator[Row]:
    """The rows of a table; one with a fault is named, or with ``is_strict`` raises WaybillError."""
    table = Table(fields, DEFAULT, _ROW_CHARS, needs_message=False)
    faults = 0
    aliases: list[tuple[str, int]] | None = None
    for data in itertools.chain(chunks, (None,)):
        for row in table.feed(data or b"", is_last=data is None):
            if row.fault is not None:
                if is_strict:
                    raise WaybillError(f"{path}: row {row.number}: {row.fault}")
                faults += 1
                if faults == 1:
                    print(f"{path}: row {row.number}: {row.fault}", file=sys.stderr)
            if aliases is None:
                aliases = _aliases(table.columns.head, fields)
            if row.cells:
                members = Row(zip(table.columns.head, row.cells, strict=False))
                for name, at in aliases:
                    members[name] = row.cells[at]
                yield members
    if faults > 1:
        print(f"{path}: {faults} rows have faults", file=sys.stderr)


def _aliases(head: Sequence[str], fields: FieldSettings) -> list[tuple[str, int]]:
    """The names of ``fields`` that the head has in another case, and where."""
    spelled = [normal(name) for name in head]
    names = (*fields.message, *fields.source, fields.label)
    return [
        (name, spelled.index(normal(name)))
        for name in names
        if name not in head and normal(name) in spelled
    ]


def _objects(path: Path | str, text: str, is_strict: bool) -> Iterator[Members]:
    for row, value in enumerate(values(text), 1):
        if isinstance(value, dict):
            yield value
        elif is_strict:
            raise WaybillError(f"{path}: row {row}: no JSON object")
        else:
            yield {}


def _parquet(path: Path | str, file: BinaryIO) -> Iterator[Row]:
    from pyarrow import ArrowException, parquet

    try:
        for batch in parquet.ParquetFile(file).iter_batches():
            for row in batch.to_pylist():
                yield Row(row)
    except ArrowException as error:
        raise WaybillError(f"{path}: {error}") from error
