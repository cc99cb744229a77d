"""``waybill label`` at work: opens, labels or checks a file, and tells what came of it."""

from __future__ import annotations

import functools
import sys
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, NoReturn

from tqdm import tqdm

from waybill.cli.label_check import check_records, check_text
from waybill.cli.label_input import open_input, reading
from waybill.cli.label_json import label_json, label_lines, label_text
from waybill.cli.label_known import JsonPieces
from waybill.cli.label_output import writing_labelled
from waybill.cli.label_plan import Plan
from waybill.cli.label_progress import JsonSummary
from waybill.cli.label_summary import Summary
from waybill.cli.label_table import check_table, label_table
from waybill.core.errors import MalformedError, WaybillError, WorkbookError
from waybill.library import Labeller
from waybill.ops.memory import settle_memory
from waybill.settings.labellings import added_fields
from waybill.settings.schema import Settings
from waybill.wire.inputs import as_utf8

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
    summary.further = {one.name: Counter() for one in settings.labellings}
    try:
        if plan.is_check:
            return _check(settings, plan, summary)
        _label(settings, plan, summary)
    except (MalformedError, WorkbookError) as error:
        raise WaybillError(f"{summary.name}: {error}") from error
    summary.show()
    return int(summary.faults > 0 or summary.is_nothing_labelled)


def _label(settings: Settings, plan: Plan, summary: Summary) -> None:
    with (
        reading(plan.source) as (reader, size),  # before rules and model: a wrong name is told now
        writing_labelled(plan.target) as writer,
        Labeller(settings) as labeller,
    ):
        summary.begin()
        has_bar = sys.stderr.isatty() and not plan.is_progress_json
        settle_memory()
        bar = tqdm(total=size, unit="B", unit_scale=True, disable=not has_bar, leave=False)
        with bar:
            chunks = summary.following(_tracked(reader, bar))
            for piece in _labelled(settings, labeller, plan, summary, chunks):
                writer.write(piece)
                if plan.target == "-":
                    writer.flush()


def _summary(plan: Plan) -> Summary:
    name = "stdin" if plan.source == "-" else plan.source
    if plan.is_progress_json:
        return JsonSummary(name, is_quiet=False)
    return Summary(name, is_quiet=plan.is_quiet)


def _check(settings: Settings, plan: Plan, summary: Summary) -> int:
    """Read all of it and name its faults; no rule and no model is needed for that."""
    with reading(plan.source) as (reader, _):
        chunks = summary.following(iter(functools.partial(reader.read, _CHUNK_BYTES), b""))
        opened = open_input(settings, plan, summary, chunks)
        match opened.form:
            case "json" | "ndjson":
                records = _json(settings, plan, summary)
                check_records(records, summary, opened.chunks, opened.start, opened.form)
            case "text":
                check_text(summary, opened.chunks, plan.choice.encoding)
            case _:
                check_table(settings, opened.plan, summary, opened.chunks)
    summary.show()
    return int(summary.faults > 0)


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
    opened = open_input(settings, plan, summary, chunks)
    if opened.is_empty:
        return opened.chunks
    chunks = opened.chunks
    strict = plan.policy.general == "fail"
    if opened.form in ("json", "ndjson"):
        encoding, chunks = as_utf8(opened.start, chunks)
        if encoding is not None:
            summary.say(f"read as {encoding}; the output is UTF-8")
    reader = _json(settings, plan, summary)
    match opened.form:
        case "json":
            return label_json(reader, labeller, summary, chunks)
        case "ndjson":
            return label_lines(reader, labeller, summary, chunks, is_strict=strict)
        case "text":
            return label_text(settings, labeller, summary, chunks, plan.choice.encoding)
        case _:
            return label_table(settings, labeller, opened.plan, summary, chunks)


def _tracked(reader: BinaryIO, bar: tqdm[NoReturn]) -> Iterator[bytes]:
    # read1 hands on what a pipe has now instead of waiting for a full chunk.
    read = getattr(reader, "read1", reader.read)
    while chunk := read(_CHUNK_BYTES):
        bar.update(len(chunk))
        yield chunk
