"""JSON, NDJSON and plain text, labelled as they come; memory does not grow with the file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from waybill.cli.label_known import JsonPieces
from waybill.cli.label_summary import Summary
from waybill.core.batch import Batch, explain_specials
from waybill.core.errors import MalformedError
from waybill.core.turns import in_parts
from waybill.library import Labeller
from waybill.settings.labellings import added_fields
from waybill.settings.schema import Settings
from waybill.wire import Codec, FieldPlan, Wire
from waybill.wire.hints import NO_JSON
from waybill.wire.json import scan
from waybill.wire.rescue import spliced_body
from waybill.wire.table.encoding import TextDecoder, replaced

__all__ = ["label_json", "label_lines", "label_text", "whole_values"]

_LINES = 1000
#: So much of NDJSON is decoded at once: never more records than one body may have.
_PIECE_BYTES = 512 << 10
#: What is longer and still open is not taken for an object.
_OPEN_BYTES = 64 << 20
_PROBE_CHARS = 4096
#: A fault so near the end of a text that was cut may be one of the cut: a name or a number.
_CUT_CHARS = 200
#: Where a value may begin that goes on behind its line.
_OPENS = re.compile(rb"[ \t]*[{\[]")
_BEGIN = re.compile(rb"[{\[]")
_VALUE_LINE = re.compile(rb"^[ \t]*[{\[]", re.MULTILINE)
_NO_JSON = f"{NO_JSON}; --format text takes it line by line"
_DECODER = json.JSONDecoder()
Decoded = tuple[Codec, Batch]


def label_json(
    reader: JsonPieces, labeller: Labeller, summary: Summary, chunks: Iterator[bytes]
) -> Iterator[bytes]:
    """One JSON text, read whole. Raises MalformedError."""
    found = _decoded(reader, b"".join(chunks))
    if found is None:
        raise MalformedError("not_json", _NO_JSON)
    yield _label(labeller, summary, *found, reader)


def label_lines(
    reader: JsonPieces,
    labeller: Labeller,
    summary: Summary,
    chunks: Iterator[bytes],
    *,
    is_strict: bool = False,
) -> Iterator[bytes]:
    """NDJSON, some whole values at a time; lines that are not JSON pass as they are.

    Raises:
        MalformedError: ``not_json`` when there is no JSON at all, or with ``is_strict`` at the
            first line that is not one.
    """
    has_record = False
    has_bytes = False
    line = 1
    for piece, decoded in whole_values(reader, chunks):
        has_bytes = has_bytes or bool(piece.strip())
        found = decoded or _decoded(reader, piece)
        if is_strict:
            _check(found, piece, line)
        line += piece.count(b"\n")
        if found is None:
            lines = sum(scan.skip_between(line, 0) < len(line) for line in piece.split(b"\n"))
            if lines:
                summary.passed(lines, "not JSON")
            yield piece
            continue
        codec, batch = found
        has_record = has_record or len(batch) > 0
        yield _label(labeller, summary, codec, batch, reader)
    if has_bytes and not has_record:
        raise MalformedError("not_json", _NO_JSON)


def _decoded(reader: JsonPieces, piece: bytes) -> Decoded | None:
    """The records of a piece, None where there is not one. Raises MalformedError."""
    try:
        return reader.decode(piece)
    except MalformedError as error:
        if error.code != "not_json":
            raise
    return None


def label_text(
    settings: Settings,
    labeller: Labeller,
    summary: Summary,
    chunks: Iterator[bytes],
    encoding: str | None,
) -> Iterator[bytes]:
    """Plain text: each line that is not blank becomes a JSON object with ``log`` and its label.

    A line that is a JSON object stays one.
    """
    wire = Wire(FieldPlan(*added_fields(settings)))
    decoder = TextDecoder(encoding)
    pending = ""
    for chunk in chunks:
        text = decoder.feed(chunk)
        cut = text.rfind("\n") + 1
        if cut == 0:
            pending += text
            continue
        yield from _label_text_lines(wire, labeller, summary, pending + text[:cut])
        pending = text[cut:]
    yield from _label_text_lines(wire, labeller, summary, pending + decoder.feed(b"", is_last=True))
    if decoder.is_guess:
        summary.say(f"read as {decoder.describe()}")


def _label_text_lines(
    wire: Wire, labeller: Labeller, summary: Summary, text: str
) -> Iterator[bytes]:
    lines = replaced(text.lstrip("\ufeff")).split("\n")
    for part in in_parts(lines, _LINES):
        batch = wire.decode_lines("\n".join(part).encode())
        yield _label(labeller, summary, wire.json, batch)


def _label(
    labeller: Labeller,
    summary: Summary,
    codec: Codec,
    batch: Batch,
    reader: JsonPieces | None = None,
) -> bytes:
    verdicts = labeller.label(batch.messages, batch.sources)
    explain_specials(batch, verdicts, labeller.passed, batch.specials)
    summary.count_batch(batch, verdicts)
    if reader is not None:
        reader.compare(batch, verdicts)
    return spliced_body(codec, batch, verdicts)


def _check(found: Decoded | None, piece: bytes, line: int) -> None:
    """Raise MalformedError for the first line that is not of a JSON object; ``piece`` begins with
    the line of the number ``line``.
    """
    at = None
    if found is None:
        at = len(piece) - len(piece.lstrip())
    else:
        for i, special in found[1].specials.items():
            if special.reason in ("malformed_record", "not_an_object"):
                at = found[1].starts[i]
                break
    if at is not None and piece.strip():
        line += piece.count(b"\n", 0, at)
        raise MalformedError("not_json", f"line {line}: no JSON object")


def whole_values(
    reader: JsonPieces, chunks: Iterator[bytes]
) -> Iterator[tuple[bytes, Decoded | None]]:
    """Pieces of NDJSON that end with a line and not within a value, which may span lines.

    Each comes with its records where they had to be decoded to find the end.
    """
    pending = bytearray()
    enough = 0
    for chunk in chunks:
        for at in range(0, len(chunk), _PIECE_BYTES):
            part = chunk[at : at + _PIECE_BYTES]
            pending += part
            if b"\n" not in part or len(pending) < enough:
                continue
            end = pending.rfind(b"\n") + 1
            piece = bytes(pending[:end])
            open_at, decoded = _find_open(reader, piece)
            if open_at is not None and end - open_at <= _OPEN_BYTES:
                end = open_at
            if end:
                yield piece[:end], decoded
                del pending[:end]
            enough = 2 * len(pending)
    if pending:
        yield bytes(pending), None


def _find_open(reader: JsonPieces, piece: bytes) -> tuple[int | None, Decoded | None]:
    """Where a value begins that ``piece`` ends within, or None; and then, if they were decoded,
    the records of ``piece``.

    A line that is not JSON is not taken for one: what follows in it must go on as JSON does.
    """
    if piece.lstrip()[:1] == b"[":
        return piece.index(b"["), None
    decoded = None
    try:
        decoded = reader.decode(piece)
    except MalformedError:
        broken = [found.start() for found in _VALUE_LINE.finditer(piece)]
    else:
        broken = _broken_records(decoded[1])
    for at in broken:
        begin = _BEGIN.search(piece, at, at + 1) or _OPENS.match(piece, at)
        if begin is not None and _is_unfinished(piece, begin.start()):
            return begin.start(), None
    return None, decoded


def _broken_records(batch: Batch) -> list[int]:
    """Where records begin that are not JSON."""
    return [
        batch.starts[i]
        for i, special in batch.specials.items()
        if special.reason == "malformed_record"
    ]


def _is_unfinished(piece: bytes, at: int) -> bool:
    """Whether a value begins at ``at`` and ``piece`` ends within it.

    Its first characters are tried before all of it: what is not JSON mostly shows there.
    """
    size = _PROBE_CHARS
    while True:
        text = piece[at : at + size].decode("utf-8", "replace").lstrip()
        fault = _first_fault(text)
        if fault is None:
            return False
        is_at_end = fault.pos >= len(text.rstrip()) - 1
        if at + size >= len(piece):
            return is_at_end
        is_near_end = is_at_end or fault.pos >= len(text) - _CUT_CHARS
        if not is_near_end and "Unterminated" not in fault.msg:
            return False
        size *= 4


def _first_fault(text: str) -> json.JSONDecodeError | None:
    """Why ``text`` begins with no whole value; None where it does, or is too deep to tell."""
    try:
        _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        return error
    except RecursionError:
        return None
    return None
