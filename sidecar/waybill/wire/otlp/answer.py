"""What a receiver answers to an OTLP request: an ``ExportLogsServiceResponse``."""

from __future__ import annotations

import orjson

from waybill.wire.otlp import protobuf
from waybill.wire.otlp.protobuf import LENGTH, VARINT


def partial_success(answer: bytes) -> tuple[int, str]:
    """(rejected records, the receiver's words); (0, "") when it says nothing of the kind."""
    try:
        if answer.lstrip()[:1] == b"{":
            return _from_json(orjson.loads(answer))
        return _from_protobuf(answer)
    except (ValueError, TypeError, AttributeError):
        # Some stores answer with a text of their own; the status is what counts.
        return 0, ""


def _from_json(found: dict[str, dict[str, object]]) -> tuple[int, str]:
    partial = found.get("partialSuccess") or found.get("partial_success") or {}
    rejected = partial.get("rejectedLogRecords") or partial.get("rejected_log_records") or 0
    words = partial.get("errorMessage") or partial.get("error_message") or ""
    if not isinstance(rejected, int | str):
        return 0, ""
    return int(rejected), str(words)


def _from_protobuf(answer: bytes) -> tuple[int, str]:
    rejected = 0
    words = ""
    for number, kind, _, start, end in protobuf.fields(answer, 0, len(answer)):
        if (number, kind) != (1, LENGTH):
            continue
        for inner, inner_kind, _, at, stop in protobuf.fields(answer, start, end):
            if (inner, inner_kind) == (1, VARINT):
                rejected, _ = protobuf.varint(answer, at, stop)
            elif (inner, inner_kind) == (2, LENGTH):
                words = answer[at:stop].decode("utf-8", "replace")
    return rejected, words
