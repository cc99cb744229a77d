"""The first rows of a file, as ``waybill label`` reads them, and some further ones."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from msgspec.structs import replace

from waybill.core.batch import Batch
from waybill.core.errors import MalformedError, WaybillError
from waybill.core.reasons import RecordReason
from waybill.settings.schema import FieldSettings
from waybill.web.findings import Findings, encoding_finding, table_findings
from waybill.web.job import Options
from waybill.wire import FieldPlan, Wire
from waybill.wire.hints import NO_JSON
from waybill.wire.inputs import as_utf8, form_of, form_of_magic, pieces
from waybill.wire.table.columns import Choice, make_choice
from waybill.wire.table.content import find_messages
from waybill.wire.table.encoding import TextDecoder, replaced
from waybill.wire.table.row import Row
from waybill.wire.table.table import Table
from waybill.wire.workbook import read_sheet

#: How much of a file is read for how it is read, and how many rows are shown.
SAMPLE_BYTES = 64 << 10
ROWS = 20
#: Behind the first rows each row of these is shown, as far as is read in this time.
EVERY = 1000
_FURTHER_SECS = 0.1
_FURTHER_BYTES = 8 << 20
_ROW_CHARS = 1 << 20
_MAGIC_BYTES = 8
#: What has delimiters and columns to choose.
TABLES = ("csv", "xlsx")


class Line(NamedTuple):
    """One record: its number, its cells, what is labelled, and the label that the file has.

    ``reason`` says why a record is left as it is, such as one that cannot be read.
    """

    number: int
    cells: tuple[str, ...]
    message: str | None
    source: str
    known: str = ""
    reason: RecordReason | None = None


class Sample(NamedTuple):
    """What was found; ``options`` are those given, with what was found by content written in.

    ``known`` is the column of labels that the file brings, ``ours`` that of ours.
    """

    form: str
    options: Options
    guesses: Findings
    head: tuple[str, ...]
    lines: tuple[Line, ...]
    sheets: tuple[str, ...] = ()
    known: str = ""
    ours: str = ""
    faults: tuple[str, ...] = ()

    def columns(self) -> tuple[list[str | None], list[str]]:
        """The messages and the sources of the lines."""
        messages: list[str | None] = []
        sources: list[str] = []
        for line in self.lines:
            messages.append(line.message)
            sources.append(line.source)
        return messages, sources


class _Opened(NamedTuple):
    form: str
    start: bytes
    rest: Iterator[bytes]
    told: str = ""
    sheet: str = ""
    sheets: tuple[str, ...] = ()


def read_sample(
    fields: FieldSettings, file: Path, name: str, options: Options, *, has_further: bool = True
) -> Sample:
    """Read the beginning of ``file``, called ``name``. Raises WaybillError, OSError."""
    form = form_of_file(fields, file, name, options)
    with file.open("rb") as reader:
        if form == "xlsx":
            sheet = read_sheet(reader, _names(fields, options), options.sheet or None)
            start, rest = _beginning(sheet.pieces)
            opened = _Opened(form, start, rest, sheet.told, sheet.name, sheet.names)
        else:
            opened = _Opened(form, *_inflated_beginning(reader))
        if opened.form in TABLES:
            return _table(fields, opened, options, has_further=has_further)
        return _records(fields, opened, options)


def form_of_file(fields: FieldSettings, file: Path, name: str, options: Options) -> str:
    """What ``file``, called ``name``, is read as. Raises WaybillError, OSError."""
    if options.form:
        return options.form
    with file.open("rb") as reader:
        if form_of_magic(reader.read(_MAGIC_BYTES)) == "xlsx":
            return "xlsx"
        reader.seek(0)
        start, _ = _inflated_beginning(reader)
        return form_of(start, name, _names(fields, options), options.encoding or None)[0]


def is_table(fields: FieldSettings, file: Path, name: str, options: Options) -> bool:
    """Whether ``file``, called ``name``, is read as a table; not if it cannot be read."""
    try:
        return form_of_file(fields, file, name, options) in TABLES
    except (WaybillError, OSError):
        return False


def _names(fields: FieldSettings, options: Options) -> Sequence[str]:
    """The columns that may hold messages."""
    return (*fields.message, *filter(None, (options.message,)))


def settled_options(fields: FieldSettings, file: Path, name: str, options: Options) -> Options:
    """The options with what a preview finds by content, so that a run reads the file as it does."""
    try:
        return read_sample(fields, file, name, options, has_further=False).options
    except (WaybillError, OSError, ValueError):
        return options  # the command says why


def _inflated_beginning(reader: BinaryIO) -> tuple[bytes, Iterator[bytes]]:
    return _beginning(pieces(iter(lambda: reader.read(SAMPLE_BYTES), b"")))


def _beginning(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    found = b""
    for chunk in chunks:
        found += chunk
        if len(found) >= SAMPLE_BYTES:
            break
    return found[:SAMPLE_BYTES], itertools.chain((found[SAMPLE_BYTES:],), chunks)


def _records(fields: FieldSettings, opened: _Opened, options: Options) -> Sample:
    """NDJSON, JSON and text: no columns to choose."""
    is_cut = len(opened.start) >= SAMPLE_BYTES
    whole = opened.start[: opened.start.rfind(b"\n") + 1] if is_cut else opened.start
    wire = Wire(FieldPlan(fields))
    if opened.form == "text":
        decoder = TextDecoder(options.encoding or None)
        text = replaced(decoder.feed(whole, is_last=not is_cut).lstrip("\ufeff"))
        batch = wire.decode_lines(text.encode())
        guesses = {"encoding": encoding_finding(decoder, text)}
    else:
        if opened.form == "json" and is_cut:
            return Sample(opened.form, options, {}, (), ())
        _, chunks = as_utf8(whole, iter((whole,)))
        batch = _decoded(wire, b"".join(chunks))
        guesses = {}
    lines: list[Line] = []
    for i, message in enumerate(batch.messages[:ROWS]):
        special = batch.specials.get(i)
        reason = special.reason if special is not None and message is None else None
        lines.append(Line(i + 1, (message or "",), message, batch.sources[i], reason=reason))
    return Sample(opened.form, options, guesses, ("message",), tuple(lines))


def _decoded(wire: Wire, data: bytes) -> Batch:
    try:
        return wire.decode(data, "application/json")[1]
    except MalformedError as error:
        if error.code != "not_json":
            raise
    # What the fault says is for who sends over HTTP.
    raise MalformedError("not_json", f"{NO_JSON}; as text it is taken line by line")


def choice_of(options: Options) -> Choice:
    """The words of the options as the reader of tables takes them. Raises MalformedError."""
    return make_choice(
        delimiter=options.delimiter or None,
        encoding=options.encoding or None,
        message=options.message or None,
        source=options.source or None,
        label=options.label or None,
        quote=options.quote or None,
        head=options.head or None,
        known=options.known or None,
        source_text=options.source_text or None,
        details=options.details or None,
    )


def _table(
    fields: FieldSettings, opened: _Opened, options: Options, *, has_further: bool
) -> Sample:
    is_whole = len(opened.start) < SAMPLE_BYTES
    given = options
    options, by_content = _with_message(fields, opened.start, given)
    table = Table(fields, choice_of(options), _ROW_CHARS)
    rows = table.feed(opened.start, is_last=is_whole)
    columns = table.columns  # an empty file is said here
    first = [row for row in rows if row.cells][:ROWS]
    guesses = table_findings(table, first, opened.start, options, by_content)
    if opened.sheet:
        guesses["sheet"] = (opened.sheet, opened.told)
    further: list[Row] = []
    if has_further and not is_whole and not opened.sheet:
        further = _further(table, rows, opened.rest)
    lines = map(functools.partial(_line, table), (*first, *further))
    told = columns.describe()
    return Sample(
        form=opened.form,
        options=options,
        guesses=guesses,
        head=tuple(columns.head),
        lines=tuple(lines),
        sheets=opened.sheets,
        known=told.get("known label", ""),
        ours=told["our label"],
        faults=tuple(f"{row.where}: {row.fault}" for row in first if row.fault),
    )


def _with_message(fields: FieldSettings, start: bytes, options: Options) -> tuple[Options, str]:
    """The options with a column of messages, and by what it was found where its name did not tell.

    A file whose first row looks like the others has no head.
    """
    if options.message:
        return options, ""
    found = find_messages(fields, start, choice_of(options), is_last=len(start) < SAMPLE_BYTES)
    if found is None:
        return options, ""
    if not found.has_head and not options.head:
        return replace(options, head="none", message=found.number), "content"
    return replace(options, message=found.name), "content"


def _line(table: Table, row: Row) -> Line:
    columns = table.columns
    message = columns.message_of(row.cells)
    cells = tuple(row.cells)
    known = columns.label_of(row.cells) or ""
    return Line(row.number, cells, message, columns.source_of(row.cells), known)


def _further(table: Table, read: Sequence[Row], rest: Iterator[bytes]) -> list[Row]:
    """Each row whose number is a multiple of `EVERY`, as far as the time goes."""
    end = time.monotonic() + _FURTHER_SECS
    found: list[Row] = []
    size = 0
    for rows in itertools.chain((read,), _fed(table, rest)):
        for row in rows:
            size += len(row.text)
            if row.cells and row.number % EVERY == 0:
                found.append(row)
        if len(found) >= ROWS or size > _FURTHER_BYTES or time.monotonic() > end:
            break
    return found[:ROWS]


def _fed(table: Table, rest: Iterator[bytes]) -> Iterator[list[Row]]:
    for chunk in rest:
        for at in range(0, len(chunk), SAMPLE_BYTES):
            yield table.feed(chunk[at : at + SAMPLE_BYTES])
