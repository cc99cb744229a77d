"""Files and streams, labelled by the same code that serves."""

from __future__ import annotations

import contextlib
import io
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, NoReturn, TypeAlias

from tqdm import tqdm

from waybill.cli.label_json import label_json, label_lines, label_text
from waybill.cli.label_known import JsonPieces
from waybill.cli.label_progress import JsonSummary
from waybill.cli.label_summary import Summary
from waybill.core.errors import ConfigError, MalformedError, WaybillError
from waybill.core.output import writing
from waybill.library import Labeller
from waybill.settings.labellings import added_fields
from waybill.settings.schema import Settings
from waybill.wire.inputs import (
    Format,
    as_utf8,
    form_of_content,
    form_of_magic,
    form_of_name,
    pieces,
)
from waybill.wire.table.columns import DEFAULT, Choice
from waybill.wire.table.table import Row, Table
from waybill.wire.workbook import read_sheet

__all__ = ["OnError", "Plan", "label_file"]

OnError: TypeAlias = Literal["fail", "pass", "skip"]
_CHUNK_BYTES = 1 << 20
_TABLE_BYTES = 64 << 10
_ROWS = 1000
#: Longest row of a table: a quote that is never closed must not take the whole file into one cell.
_ROW_CHARS = 8 << 20
_SAMPLE_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be labelled, and how. ``source`` and ``target`` are paths, or ``-``."""

    source: str
    target: str
    form: Format | None = None
    choice: Choice = DEFAULT
    on_error: OnError = "pass"
    is_quiet: bool = False
    is_progress_json: bool = False


def label_file(settings: Settings, plan: Plan) -> int:
    """Label a file; gives the exit code: 1 when a row had a fault, or none got a label.

    A bar on stderr shows progress on a terminal; a summary stands at the end.

    Raises:
        ConfigError: rules or model cannot be used.
        MalformedError: the input cannot be read as that format.
    """
    name = "stdin" if plan.source == "-" else plan.source
    summary = _summary(name, plan)
    with (
        _reading(plan.source) as (reader, size),  # before rules and model: a wrong name is told now
        _writing(plan.target) as writer,
        Labeller(settings) as labeller,
    ):
        has_bar = sys.stderr.isatty() and not plan.is_progress_json
        bar = tqdm(total=size, unit="B", unit_scale=True, disable=not has_bar, leave=False)
        with bar:
            chunks = summary.following(_tracked(reader, bar))
            for piece in _labelled(settings, labeller, plan, summary, chunks):
                writer.write(piece)
                if plan.target == "-":
                    writer.flush()
    summary.show()
    return int(summary.faults > 0 or summary.is_all_passed)


def _summary(name: str, plan: Plan) -> Summary:
    if plan.is_progress_json:
        return JsonSummary(name, is_quiet=False)
    return Summary(name, is_quiet=plan.is_quiet)


def _labelled(
    settings: Settings,
    labeller: Labeller,
    plan: Plan,
    summary: Summary,
    chunks: Iterator[bytes],
) -> Iterator[bytes]:
    """The output, in pieces."""
    chunks = pieces(chunks)
    start = next(chunks, b"")
    chunks = itertools.chain((start,), chunks)
    names = settings.fields.message
    if plan.choice.message is not None:
        names = (*names, plan.choice.message)
    form = plan.form or form_of_magic(start) or form_of_name(plan.source)
    if form is None:
        form = form_of_content(start, names)
        summary.say(f"read as {form}; --format says otherwise")
    strict = plan.on_error == "fail"
    if form == "parquet":
        raise ConfigError([f"{plan.source}: Parquet is not labelled; write it as CSV or NDJSON"])
    if form == "xlsx":
        sheet = read_sheet(io.BytesIO(b"".join(chunks)), names)
        summary.say(sheet.told)
        chunks = sheet.pieces
    if form in ("json", "ndjson"):
        encoding, chunks = as_utf8(start, chunks)
        if encoding is not None:
            summary.say(f"read as {encoding}; the output is UTF-8")
    reader = JsonPieces(settings.fields, summary, plan.choice.label, added_fields(settings)[1:])
    match form:
        case "json":
            return label_json(reader, labeller, summary, chunks)
        case "ndjson":
            return label_lines(reader, labeller, summary, chunks, is_strict=strict)
        case "text":
            return label_text(settings, labeller, summary, chunks, plan.choice.encoding)
        case _:
            return _label_table(settings, labeller, plan, summary, chunks)


def _label_table(
    settings: Settings,
    labeller: Labeller,
    plan: Plan,
    summary: Summary,
    chunks: Iterator[bytes],
) -> Iterator[bytes]:
    further = added_fields(settings)[1:]
    table = Table(settings.fields, plan.choice, _ROW_CHARS, further=further)
    is_begun = False
    for chunk in itertools.chain(_cut(chunks), (None,)):
        rows = table.feed(chunk or b"", is_last=chunk is None)
        if table.has_head and not is_begun:
            is_begun = True
            summary.say(_found(table))
            yield table.head()
        for at in range(0, len(rows), _ROWS):
            yield _label_rows(
                labeller, table, _taken(rows[at : at + _ROWS], plan, summary), summary
            )
    if table.rest():
        summary.fault("at the end", f"the file ends within a character of {table.decoder.name}")
        yield table.rest()


def _cut(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Smaller chunks: rows that are gone before the next come cost half."""
    for chunk in chunks:
        for at in range(0, len(chunk), _TABLE_BYTES):
            yield chunk[at : at + _TABLE_BYTES]


def _found(table: Table) -> str:
    """A sentence about how the table is read."""
    columns = ", ".join(f"{what} {name!r}" for what, name in table.columns.told().items())
    encoding = table.decoder.name or "ASCII"
    return f"{encoding}, delimiter {table.dialect.delimiter!r}, columns: {columns}"


def _taken(rows: list[Row], plan: Plan, summary: Summary) -> list[Row]:
    """The rows that go on. Raises MalformedError (``csv_row``) with ``on_error`` fail."""
    taken: list[Row] = []
    for row in rows:
        if row.fault is None:
            taken.append(row)
            continue
        if plan.on_error == "fail":
            raise MalformedError("csv_row", f"row {row.number}: {row.fault}")
        if plan.on_error == "skip":
            summary.fault(f"row {row.number}", f"{row.fault}; left out")
            continue
        summary.fault(f"row {row.number}", row.fault)
        taken.append(row)
    return taken


def _label_rows(labeller: Labeller, table: Table, rows: list[Row], summary: Summary) -> bytes:
    columns = table.columns
    messages, sources = columns.read([row.cells for row in rows])
    verdicts = labeller.label(messages, sources)
    summary.note_undecided(messages, verdicts)
    counted = verdicts
    if not all(row.cells for row in rows):
        counted = [verdict for row, verdict in zip(rows, verdicts, strict=True) if row.cells]
    summary.count(counted)
    if columns.label is not None:
        for row, verdict in zip(rows, verdicts, strict=True):
            known = columns.label_of(row.cells)
            if known is not None:
                summary.compare(known, verdict.label)
    return table.labelled(rows, verdicts)


def _tracked(reader: BinaryIO, bar: tqdm[NoReturn]) -> Iterator[bytes]:
    # read1 hands on what a pipe has now instead of waiting for a full chunk.
    read = getattr(reader, "read1", reader.read)
    while chunk := read(_CHUNK_BYTES):
        bar.update(len(chunk))
        yield chunk


@contextlib.contextmanager
def _reading(path: str) -> Iterator[tuple[BinaryIO, int | None]]:
    if path == "-":
        yield sys.stdin.buffer, None
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise WaybillError(f"{path}: {_sentence(error)}") from None
    with file:
        yield file, Path(path).stat().st_size


@contextlib.contextmanager
def _writing(path: str) -> Iterator[BinaryIO]:
    """As `writing`; a folder that is missing is named as the user named it."""
    folder = Path(path).parent
    if path != "-" and not folder.is_dir():
        raise WaybillError(f"-o {path}: there is no folder {folder}")
    if path != "-" and Path(path).is_dir():
        raise WaybillError(f"-o {path}: this is a folder; name a file")
    try:
        with writing(path) as file:
            yield file
    except PermissionError as error:
        raise WaybillError(f"-o {path}: {_sentence(error)}") from None


def _sentence(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
