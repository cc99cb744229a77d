"""Walks the frames of an OTLP request in protobuf down to each ``LogRecord``.

Field numbers as in opentelemetry-proto's logs.proto, common.proto and logs_service.proto.
"""

from __future__ import annotations

import functools

from waybill.core.batch import Batch, Passed
from waybill.core.prepare import is_blank
from waybill.wire.allowance import MOST_RECORD_BYTES
from waybill.wire.fields import FieldPlan
from waybill.wire.otlp import protobuf
from waybill.wire.otlp.frames import Frame, OtlpBatch, note_gap
from waybill.wire.otlp.lookup import Lookup
from waybill.wire.otlp.protobuf import LENGTH, varint
from waybill.wire.otlp.values import STRING, name_of, read_pair, read_pairs, read_value
from waybill.wire.policy import Names

#: Of ExportLogsServiceRequest, ResourceLogs, ScopeLogs, Resource and LogRecord.
RESOURCES, RESOURCE, SCOPES, SCOPE, RECORDS = 1, 1, 2, 1, 2
RESOURCE_ATTRIBUTES, BODY, ATTRIBUTES = 1, 5, 6
_BODY_TAG = BODY << 3 | LENGTH
_ATTRIBUTES_TAG = ATTRIBUTES << 3 | LENGTH
_KEY_TAG = 1 << 3 | LENGTH
_STRING_TAG = STRING << 3 | LENGTH
_SCALAR_BYTES = {protobuf.FIXED64: 8, protobuf.FIXED32: 4}
#: Where a value begins and ends.
Span = tuple[int, int]


class ProtoReader:
    """Reads the records of requests into batches, for one `FieldPlan`."""

    def __init__(self, plan: FieldPlan) -> None:
        self._policy = plan.policy
        self._lookup = Lookup(plan)
        self._wanted = frozenset(name.encode() for name in self._lookup.wanted)

    def read_request(self, batch: OtlpBatch) -> None:
        """Read all resources. Raises ValueError where the frames cannot be read."""
        body = batch.body
        for number, kind, at, start, end in protobuf.fields(body, 0, len(body)):
            if (number, kind) == (RESOURCES, LENGTH):
                self._read_resource(batch, start, end)
            else:
                note_gap(batch.gaps, len(batch.resources), at, end)

    def _read_resource(self, batch: OtlpBatch, start: int, end: int) -> None:
        frame = Frame(len(batch))
        attributes: dict[str, object] = {}
        scopes = 0
        for number, kind, at, value_at, stop in protobuf.fields(batch.body, start, end):
            if (number, kind) == (SCOPES, LENGTH):
                scopes += 1
                continue
            frame.note_gap(scopes, at, stop)
            if (number, kind) == (RESOURCE, LENGTH):
                frame.about = value_at, stop
                attributes |= dict(read_pairs(batch.body, value_at, stop, RESOURCE_ATTRIBUTES))
        # Fields may come in any order: only now is the resource known to be whole.
        self._lookup.note_source(attributes, frame)
        for number, kind, _, value_at, stop in protobuf.fields(batch.body, start, end):
            if (number, kind) == (SCOPES, LENGTH):
                self._read_scope(batch, frame, value_at, stop)
        frame.stop = len(batch)
        batch.add_frame(batch.resources, frame)

    def _read_scope(self, batch: OtlpBatch, resource: Frame, start: int, end: int) -> None:
        scope = Frame(len(batch))
        read = functools.partial(self._read_record, resource)
        for number, kind, at, value_at, stop in protobuf.fields(batch.body, start, end):
            if (number, kind) == (RECORDS, LENGTH):
                batch.add_with(read, value_at, stop)
                continue
            scope.note_gap(len(batch), at, stop)
            if (number, kind) == (SCOPE, LENGTH):
                scope.about = value_at, stop
        scope.stop = len(batch)
        batch.add_frame(resource.scopes, scope)

    def _read_record(self, resource: Frame, batch: Batch, start: int, end: int) -> None:
        if end - start > MOST_RECORD_BYTES:
            batch.add_special(start, Passed(end, "record_too_large"))
            return
        body = batch.body
        try:
            (body_at, body_end), spans = self._find(body, start, end)
            message = _plain_string(body, body_at, body_end)
            if message is not None and not spans and not is_blank(message):
                batch.add(start, end, message, resource.name or resource.fallback)
                return
            attributes = {key: read_value(body, *span) for key, span in spans.items()}
            content: object = message
            if message is None:
                content = read_value(body, body_at, body_end)
        except (ValueError, IndexError):
            batch.add_special(start, Passed(end, "malformed_record"))
            return
        found = self._lookup.read(attributes, content, resource)
        taken = self._lookup.taken(attributes)
        if not taken and found.reason is None:
            batch.add(start, end, found.message, found.source)
            return
        self._policy.add(
            batch,
            start,
            end,
            taken,
            lambda: found,
            lambda names: _without(body, start, end, names),
            lambda name: attributes[name] in (None, ""),
        )

    def _find(self, body: bytes, at: int, end: int) -> tuple[Span, dict[str, Span]]:
        """The ranges of the body and of the wanted attributes of one record; the last of twins.

        The one place that every record pays for: the common fields are passed without a call.
        """
        found: dict[str, Span] = {}
        content = (at, at)
        wanted = self._wanted
        while at < end:
            tag = body[at]
            kind = tag & 7
            is_common = 7 < tag < 0x80
            if is_common and kind == LENGTH:
                size = body[at + 1]
                value_at = at + 2
                if size >= 0x80:
                    size, value_at = varint(body, at + 1, end)
                at = value_at + size
                if tag == _BODY_TAG:
                    content = value_at, at
                elif tag == _ATTRIBUTES_TAG and at <= end:
                    # Keys stand first and are short; one that is not may hide a name of ours.
                    key_at = value_at + 2
                    is_plain = (
                        at >= key_at and body[value_at] == _KEY_TAG and body[key_at - 1] < 0x80
                    )
                    if is_plain and body[key_at : key_at + body[key_at - 1]] not in wanted:
                        continue
                    key, *span = read_pair(body, value_at, at)
                    if key in self._lookup.wanted:
                        found[key] = (span[0], span[1])
            elif is_common and kind in _SCALAR_BYTES:
                at += 1 + _SCALAR_BYTES[kind]
            else:
                *_, at = next(protobuf.fields(body, at, end))
        if at != end:
            raise ValueError("a field is cut")
        return content, found


def _plain_string(data: bytes, at: int, end: int) -> str | None:
    """The text of an ``AnyValue`` that is a string; None for another value, or without one."""
    if end - at < 2 or data[at] != _STRING_TAG:
        return None
    size, value_at = varint(data, at + 1, end)
    if value_at + size != end:
        return None
    return data[value_at:end].decode("utf-8", "replace")


def _without(data: bytes, start: int, end: int, names: Names) -> bytes:
    """The record in ``data[start:end]`` without attributes ``names``; the rest byte for byte."""
    kept = []
    for number, kind, at, value_at, stop in protobuf.fields(data, start, end):
        is_attribute = (number, kind) == (ATTRIBUTES, LENGTH)
        if not is_attribute or name_of(data, value_at, stop) not in names:
            kept.append(data[at:stop])
    return b"".join(kept)
