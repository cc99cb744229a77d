"""Files and streams, labelled by the same code that serves."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn

from tqdm import tqdm

from waybill.core.errors import ConfigError, MalformedError
from waybill.core.output import writing
from waybill.library import Labeller
from waybill.settings.schema import Settings
from waybill.wire import FieldPlan, Wire
from waybill.wire.csv import RowSplitter, Table, write_rows
from waybill.wire.rescue import spliced_body

__all__ = ["label_file"]

_CHUNK_BYTES = 1 << 20
_ROWS = 1000
_SUFFIXES = {
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".log": "ndjson",
    ".json": "json",
}


def label_file(settings: Settings, source: str, target: str, form: str | None) -> None:
    """Label ``source`` into ``target`` (paths, or ``-``); a bar on stderr shows progress on a
    terminal.

    Raises:
        ConfigError: the format is unknown, or rules or model cannot be used.
        MalformedError: the input cannot be read as that format.
    """
    form = form or _SUFFIXES.get(Path(source).suffix.lower())
    if form is None:
        raise ConfigError([f"{source}: say what it is with --format csv|ndjson|json"])
    work = {"csv": _label_csv, "ndjson": _label_lines, "json": _label_json}[form]
    with (
        Labeller(settings) as labeller,
        _reading(source) as (reader, size),
        writing(target) as writer,
    ):
        bar = tqdm(
            total=size, unit="B", unit_scale=True, disable=not sys.stderr.isatty(), leave=False
        )
        with bar:
            for piece in work(settings, labeller, _tracked(reader, bar)):
                writer.write(piece)


def _label_csv(settings: Settings, labeller: Labeller, chunks: Iterator[bytes]) -> Iterator[bytes]:
    splitter = RowSplitter(settings.limits.body_bytes)
    table: Table | None = None
    for chunk in itertools.chain(chunks, (None,)):
        rows = splitter.feed(chunk or b"", is_last=chunk is None)
        if table is None and rows:
            table = Table(rows.pop(0), settings.fields)
            yield write_rows([table.header]).encode()
        if table is not None:
            yield from _label_rows(labeller, table, rows)
    if table is None:
        raise MalformedError("csv_columns", "the file is empty")


def _label_rows(labeller: Labeller, table: Table, rows: list[list[str]]) -> Iterator[bytes]:
    for at in range(0, len(rows), _ROWS):
        part = rows[at : at + _ROWS]
        messages = [table.message(row) for row in part]
        verdicts = labeller.label(messages, [table.source(row) for row in part])
        labelled = map(table.labelled, part, verdicts)
        yield write_rows(labelled).encode()


def _label_lines(
    settings: Settings, labeller: Labeller, chunks: Iterator[bytes]
) -> Iterator[bytes]:
    """NDJSON, some whole lines at a time; memory does not grow with the file."""
    pending = b""
    for chunk in itertools.chain(chunks, (None,)):
        data = pending + (chunk or b"")
        cut = len(data) if chunk is None else data.rfind(b"\n") + 1
        pending = data[cut:]
        if data[:cut].strip():
            yield _label_body(settings, labeller, data[:cut])


def _label_json(settings: Settings, labeller: Labeller, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield _label_body(settings, labeller, b"".join(chunks))


def _label_body(settings: Settings, labeller: Labeller, body: bytes) -> bytes:
    codec, batch = Wire(FieldPlan(settings.fields)).decode(body, "application/json")
    return spliced_body(codec, batch, labeller.label(batch.messages, batch.sources))


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
    with Path(path).open("rb") as file:
        yield file, Path(path).stat().st_size
