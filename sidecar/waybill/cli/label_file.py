"""Files and streams, labelled by the same code that serves."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn

from tqdm import tqdm

from waybill.cli.label_check import check_records, check_text
from waybill.cli.label_json import label_json, label_lines, label_text
from waybill.cli.label_known import JsonPieces
from waybill.cli.label_plan import Plan
from waybill.cli.label_progress import JsonSummary
from waybill.cli.label_summary import Summary
from waybill.cli.label_table import check_table, label_table
from waybill.core.errors import ConfigError, WaybillError
from waybill.core.output import writing
from waybill.library import Labeller
from waybill.ops.memory import settle_memory
from waybill.settings.labellings import added_fields
from waybill.settings.schema import Settings
from waybill.wire.inputs import Format, as_utf8, form_of, pieces
from waybill.wire.workbook import read_sheet

__all__ = ["label_file"]

_CHUNK_BYTES = 1 << 20


def label_file(settings: Settings, plan: Plan) -> int:
    """Label a file; gives the exit code: 1 when a row had a fault, or none got a label.

    A bar on stderr shows progress on a terminal; a summary stands at the end.

    Raises:
        ConfigError: rules or model cannot be used.
        MalformedError: the input cannot be read as that format.
    """
    summary = _summary(plan)
    if plan.is_check:
        return _check(settings, plan, summary)
    with (
        _reading(plan.source) as (reader, size),  # before rules and model: a wrong name is told now
        _writing(plan.target) as writer,
        Labeller(settings) as labeller,
    ):
        has_bar = sys.stderr.isatty() and not plan.is_progress_json
        settle_memory()
        bar = tqdm(total=size, unit="B", unit_scale=True, disable=not has_bar, leave=False)
        with bar:
            chunks = summary.following(_tracked(reader, bar))
            for piece in _labelled(settings, labeller, plan, summary, chunks):
                writer.write(piece)
                if plan.target == "-":
                    writer.flush()
    summary.show()
    return int(summary.faults > 0 or summary.is_all_passed)


def _summary(plan: Plan) -> Summary:
    name = "stdin" if plan.source == "-" else plan.source
    if plan.is_progress_json:
        return JsonSummary(name, is_quiet=False)
    return Summary(name, is_quiet=plan.is_quiet)


def _check(settings: Settings, plan: Plan, summary: Summary) -> int:
    """Read all of it and name its faults; no rule and no model is needed for that."""
    with _reading(plan.source) as (reader, _):
        chunks = summary.following(iter(functools.partial(reader.read, _CHUNK_BYTES), b""))
        form, start, chunks = _formed(settings, plan, summary, chunks)
        match form:
            case "json" | "ndjson":
                check_records(_json(settings, plan, summary), summary, chunks, start, form)
            case "text":
                check_text(summary, chunks, plan.choice.encoding)
            case _:
                check_table(settings, plan, summary, chunks)
    summary.show()
    return int(summary.faults > 0)


def _formed(
    settings: Settings, plan: Plan, summary: Summary, chunks: Iterator[bytes]
) -> tuple[Format, bytes, Iterator[bytes]]:
    """The format, the first bytes, and all of it in pieces: inflated, of a workbook as CSV."""
    chunks = pieces(chunks)
    start = next(chunks, b"")
    chunks = itertools.chain((start,), chunks)
    names = settings.fields.message
    if plan.choice.message is not None:
        names = (*names, plan.choice.message)
    form, told = plan.form, ""
    if form is None:
        form, told = form_of(start, plan.source, names)
    if told:
        summary.say(told)
    if form == "parquet":
        raise ConfigError([f"{plan.source}: Parquet is not labelled; write it as CSV or NDJSON"])
    if form == "xlsx":
        sheet = read_sheet(io.BytesIO(b"".join(chunks)), names, plan.sheet)
        summary.say(sheet.told)
        summary.expect(sheet.rows)
        chunks = sheet.pieces
    return form, start, chunks


def _json(settings: Settings, plan: Plan, summary: Summary) -> JsonPieces:
    return JsonPieces(settings.fields, summary, plan.choice.label, added_fields(settings)[1:])


def _labelled(
    settings: Settings,
    labeller: Labeller,
    plan: Plan,
    summary: Summary,
    chunks: Iterator[bytes],
) -> Iterator[bytes]:
    """The output, in pieces."""
    form, start, chunks = _formed(settings, plan, summary, chunks)
    strict = plan.policy.general == "fail"
    if form in ("json", "ndjson"):
        encoding, chunks = as_utf8(start, chunks)
        if encoding is not None:
            summary.say(f"read as {encoding}; the output is UTF-8")
    reader = _json(settings, plan, summary)
    match form:
        case "json":
            return label_json(reader, labeller, summary, chunks)
        case "ndjson":
            return label_lines(reader, labeller, summary, chunks, is_strict=strict)
        case "text":
            return label_text(settings, labeller, summary, chunks, plan.choice.encoding)
        case _:
            return label_table(settings, labeller, plan, summary, chunks)


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
