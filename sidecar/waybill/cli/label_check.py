"""``waybill label --check`` of JSON and text: what cannot be read, line by line."""

from __future__ import annotations

import re
from collections.abc import Iterator

from waybill.cli.label_json import whole_values
from waybill.cli.label_known import JsonPieces
from waybill.cli.label_summary import Summary
from waybill.core.batch import Batch
from waybill.core.errors import MalformedError
from waybill.wire.inputs import Format, as_utf8
from waybill.wire.table.encoding import TextDecoder

__all__ = ["check_records", "check_text"]

#: What `TextDecoder` makes of bytes that are not of the encoding.
_BROKEN = re.compile("[\ud800-\udfff]")


def check_records(
    reader: JsonPieces,
    summary: Summary,
    chunks: Iterator[bytes],
    start: bytes,
    form: Format,
) -> None:
    """Count records, and name those that are not a JSON object or have no message.

    Raises:
        MalformedError: one JSON text that cannot be read.
    """
    encoding, chunks = as_utf8(start, chunks)
    if encoding is not None:
        summary.say(f"read as {encoding}; the output is UTF-8")
    if form == "json":
        _, batch = reader.decode(b"".join(chunks))
        _count(summary, batch, 1)
        return
    line = 1
    for piece, decoded in whole_values(reader, chunks):
        try:
            _, batch = decoded or reader.decode(piece)
        except MalformedError as error:
            if error.code != "not_json":
                raise
            _name_lines(summary, piece, line)
        else:
            _count(summary, batch, line)
        line += piece.count(b"\n")


def check_text(summary: Summary, chunks: Iterator[bytes], encoding: str | None) -> None:
    """Count lines, and name those with bytes that are not of the encoding."""
    decoder = TextDecoder(encoding)
    number = 0
    pending = ""
    for chunk in chunks:
        *lines, pending = (pending + decoder.feed(chunk)).split("\n")
        number = _check_lines(summary, decoder, lines, number)
    _check_lines(summary, decoder, (pending + decoder.feed(b"", is_last=True)).split("\n"), number)


def _check_lines(summary: Summary, decoder: TextDecoder, lines: list[str], number: int) -> int:
    for line in lines:
        number += 1
        if not line.strip():
            continue
        summary.rows += 1
        if _BROKEN.search(line):
            words = f"bytes that are not {decoder.name}"
            summary.fault(f"line {number}", words, ("bytes",))
    return number


def _count(summary: Summary, batch: Batch, line: int) -> None:
    summary.rows += len(batch)
    at = 0
    for i, message in enumerate(batch.messages):
        if message is not None and not message.isspace():
            continue
        line += batch.body.count(b"\n", at, batch.starts[i])
        at = batch.starts[i]
        special = batch.specials.get(i)
        reason = (special.reason if special is not None else None) or "no_message"
        kind = "message" if reason == "no_message" else "json"
        summary.fault(f"line {line}", reason, (kind,))


def _name_lines(summary: Summary, piece: bytes, line: int) -> None:
    for number, text in enumerate(piece.split(b"\n"), line):
        if text.strip():
            summary.rows += 1
            summary.fault(f"line {number}", "no JSON", ("json",))
