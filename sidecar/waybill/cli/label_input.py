"""What ``waybill label`` reads: its format, its first bytes, and all of it in pieces."""

from __future__ import annotations

import contextlib
import io
import itertools
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

from waybill.cli.label_plan import Plan
from waybill.cli.label_summary import Summary
from waybill.core.errors import ConfigError, MalformedError, WaybillError
from waybill.core.files import folder_advice
from waybill.core.text import decoded
from waybill.settings.schema import Settings
from waybill.wire.inputs import Format, form_of, pieces
from waybill.wire.table.content import find_messages
from waybill.wire.workbook import read_sheet

__all__ = ["Opened", "open_input", "reading"]

#: So much of a table is looked at for its column of messages.
_SAMPLE_BYTES = 64 << 10
_BLANK = "\ufeff\x00 \t\r\n"
#: What ends a compressed file too early, or stands in it.
_BROKEN = ("corrupt_", "truncated_")


class Opened(NamedTuple):
    """``start`` are the first bytes of ``chunks``, which are inflated, and of a workbook CSV.

    ``plan`` says what was found about a table, too.
    """

    form: Format
    start: bytes
    chunks: Iterator[bytes]
    plan: Plan
    is_empty: bool = False


@contextlib.contextmanager
def reading(path: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """The file, and its size; ``-`` is stdin, whose size nobody knows.

    Raises:
        WaybillError: it cannot be opened.
    """
    if path == "-":
        yield sys.stdin.buffer, None
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - closed below
    except IsADirectoryError:
        raise WaybillError(folder_advice(path)) from None
    except OSError as error:
        words = (error.strerror or str(error)).lower()
        raise WaybillError(f"{path}: {words}") from None
    with file:
        yield file, Path(path).stat().st_size


def open_input(settings: Settings, plan: Plan, summary: Summary, chunks: Iterator[bytes]) -> Opened:
    """The format and the bytes of what is to be labelled. Raises WaybillError."""
    chunks = _to_its_end(pieces(chunks), plan, summary)
    start, chunks = _first(chunks)
    if not start.strip():
        summary.say("the input is empty")
        return Opened("text", start, chunks, plan, is_empty=True)
    names = settings.fields.message
    if plan.choice.message is not None:
        names = (*names, plan.choice.message)
    form, told = plan.form, ""
    if form is None:
        form, told = form_of(start, plan.source, names, plan.choice.encoding)
    if told:
        summary.say(told)
    if form == "parquet":
        raise ConfigError([f"{plan.source}: Parquet is not labelled; write it as CSV or NDJSON"])
    plan.check_options(form)
    if form == "xlsx":
        sheet = read_sheet(io.BytesIO(b"".join(chunks)), names, plan.sheet)
        summary.say(sheet.told)
        summary.expect(sheet.rows)
        chunks = sheet.pieces
    if form in ("csv", "xlsx"):
        start, chunks = _at_least(chunks, _SAMPLE_BYTES)
        if not start.strip():  # a sheet with nothing in it
            summary.say("the input is empty")
            return Opened(form, start, chunks, plan, is_empty=True)
        plan = _with_messages(settings, plan, summary, start)
    return Opened(form, start, chunks, plan)


def _to_its_end(chunks: Iterator[bytes], plan: Plan, summary: Summary) -> Iterator[bytes]:
    """``chunks``; a compressed file that breaks off is read so far, and that is a fault."""
    has_any = False
    try:
        for chunk in chunks:
            has_any = True
            yield chunk
    except MalformedError as error:
        is_broken = error.code.startswith(_BROKEN)
        if not has_any or not is_broken or plan.policy.of(("bytes",)) == "fail":
            raise
        summary.fault("at the end", f"{error}; what stands in front of it is labelled", ("bytes",))


def _first(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes that are not blank, with what is in front of them, and all again."""
    taken: list[bytes] = []
    size = looked = 0
    for chunk in chunks:
        taken.append(chunk)
        size += len(chunk)
        if size < 2 * looked:  # a file of blank lines is not read again for each piece
            continue
        looked = size
        if _has_text(b"".join(taken)):
            break
    else:
        if not _has_text(b"".join(taken)):
            taken = []
    start = b"".join(taken)
    return start, itertools.chain((start,), chunks)


def _has_text(data: bytes) -> bool:
    return bool(decoded(data).strip(_BLANK))


def _at_least(chunks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    start = b""
    for chunk in chunks:
        start += chunk
        if len(start) >= size:
            break
    return start, itertools.chain((start,), chunks)


def _with_messages(settings: Settings, plan: Plan, summary: Summary, start: bytes) -> Plan:
    """The plan with a column of messages that no name told but what its cells hold."""
    is_all = len(start) < _SAMPLE_BYTES
    found = find_messages(settings.fields, start[:_SAMPLE_BYTES], plan.choice, is_last=is_all)
    if found is None or not found.is_likely:
        return plan
    choice = replace(plan.choice, message=found.name)
    told = f"no column's name says message: {found.name!r} is taken, which has the most words"
    if not found.has_head:
        choice = replace(choice, message=found.number, has_head=False)
        told = f"the first row is not a head; column {found.number} has the most words"
    summary.say(f"{told} (--message-column says otherwise)")
    return replace(plan, choice=choice)
