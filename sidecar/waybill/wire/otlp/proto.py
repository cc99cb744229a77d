"""OTLP logs in protobuf: an ``ExportLogsServiceRequest``.

``decode`` walks the frames down to each ``LogRecord`` and reads only body and the attributes that may
name the source; ``splice`` appends our attributes to each record and writes the lengths of what encloses
it anew. Every other byte, fields unknown to us included, stays as it was.

Field numbers as in opentelemetry-proto's logs.proto, common.proto and logs_service.proto.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from waybill.core.errors import MalformedError
from waybill.core.reasons import RecordReason
from waybill.core.records import Batch, Odd, Verdict
from waybill.wire.fields import FieldPlan, SuffixCache
from waybill.wire.ids import RecordIds
from waybill.wire.otlp import protobuf
from waybill.wire.otlp.frames import Frame, OtlpBatch, Reader
from waybill.wire.otlp.protobuf import LENGTH, varint
from waybill.wire.otlp.values import STRING, pack_pairs, read_pair, read_pairs, read_value

#: Of ExportLogsServiceRequest, ResourceLogs, ScopeLogs, Resource and LogRecord.
_RESOURCES, _RESOURCE, _SCOPES, _SCOPE, _RECORDS = 1, 1, 2, 1, 2
_RESOURCE_ATTRIBUTES, _BODY, _ATTRIBUTES = 1, 5, 6
_BODY_TAG, _ATTRIBUTES_TAG = _BODY << 3 | LENGTH, _ATTRIBUTES << 3 | LENGTH
_KEY_TAG, _STRING_TAG = 1 << 3 | LENGTH, STRING << 3 | LENGTH
_SCOPE_ATTRIBUTES = 3
#: Names of the members that are told to receivers without OTLP.
_ABOUT_RESOURCE: dict[int, str] = {}
_ABOUT_SCOPE = {1: "name", 2: "version"}
_MEMBERS = {
    1: "time_unix_nano", 2: "severity_number", 3: "severity_text", _BODY: "body", 8: "flags",
    9: "trace_id", 10: "span_id", 11: "observed_time_unix_nano", 12: "event_name",
}  # fmt: skip
_SCALAR_BYTES = {protobuf.FIXED64: 8, protobuf.FIXED32: 4}


class OtlpCodec:
    """Decodes and splices OTLP protobuf requests for one `FieldPlan`. Holds no state between calls."""

    encoding = "protobuf"
    content_type = "application/x-protobuf"

    def __init__(self, plan: FieldPlan) -> None:
        self.plan = plan
        self._reader = Reader(plan)
        self._wanted = frozenset(name.encode() for name in self._reader.wanted)
        self._rendered = SuffixCache(lambda verdict: pack_pairs(plan.values(verdict), _ATTRIBUTES))

    # -- decode ---------------------------------------------------------------------------------

    def decode(self, body: bytes, tag: str = "", care_bytes: float = math.inf) -> OtlpBatch:
        """Find the records of ``body``.

        Raises:
            MalformedError: ``not_otlp`` when the frames cannot be read, hold none of ours, or hold
                nothing but broken records.
            LaboriousError: the body has more than ``care_bytes``.
        """
        batch = OtlpBatch(body, tag, care_bytes)
        batch.take_care(len(body))
        try:
            for number, kind, at, start, end in protobuf.fields(body, 0, len(body)):
                if (number, kind) == (_RESOURCES, LENGTH):
                    self._decode_resource(batch, start, end)
                else:
                    batch.gaps.append((len(batch.resources), at, end))
        except ValueError as error:
            raise MalformedError("not_otlp", str(error)) from None
        if batch.is_hopeless() or (body and not batch.resources):
            raise MalformedError("not_otlp", "no log record can be found")
        return batch

    def _decode_resource(self, batch: OtlpBatch, start: int, end: int) -> None:
        frame = Frame(len(batch))
        scopes: list[tuple[int, int]] = []
        attributes: dict[str, Any] = {}
        for number, kind, at, value_at, stop in protobuf.fields(batch.body, start, end):
            if (number, kind) == (_SCOPES, LENGTH):
                scopes.append((value_at, stop))
                continue
            frame.gaps.append((len(scopes), at, stop))
            if (number, kind) == (_RESOURCE, LENGTH):
                frame.about = value_at, stop
                attributes |= read_pairs(batch.body, value_at, stop, _RESOURCE_ATTRIBUTES)
        # Fields may come in any order: only now is the resource known to be whole.
        self._reader.resource(attributes, frame)
        for value_at, stop in scopes:
            frame.scopes.append(self._decode_scope(batch, frame, value_at, stop))
        frame.stop = len(batch)
        batch.resources.append(frame)

    def _decode_scope(self, batch: OtlpBatch, resource: Frame, start: int, end: int) -> Frame:
        scope = Frame(len(batch))
        for number, kind, at, value_at, stop in protobuf.fields(batch.body, start, end):
            if (number, kind) == (_RECORDS, LENGTH):
                self._decode_record(batch, resource, value_at, stop)
                continue
            scope.gaps.append((len(batch), at, stop))
            if (number, kind) == (_SCOPE, LENGTH):
                scope.about = value_at, stop
        scope.stop = len(batch)
        return scope

    def _decode_record(self, batch: OtlpBatch, resource: Frame, start: int, end: int) -> None:
        body = batch.body
        try:
            body_at, body_end, spans = self._find(body, start, end)
            attributes = (
                {key: read_value(body, at, stop) for key, at, stop in spans} if spans else {}
            )
            message = _plain_string(body, body_at, body_end)
            content = message if message is not None else read_value(body, body_at, body_end)
        except (ValueError, IndexError):
            batch.add_odd(start, Odd(end, "malformed_record", is_spliced=False, is_strict=False))
            return
        source = self._reader.source(attributes, content, resource)
        reason: RecordReason | None = None
        if message is None:
            message, reason = self._reader.message(content)
        taken = self._reader.taken(attributes) if attributes else frozenset()
        if not taken and reason is None:
            batch.add(start, end, message, source)
            return
        settings = self.plan.settings
        if settings.label in taken and not settings.relabel:
            batch.add_odd(start, Odd(end, "already_labelled", is_spliced=False))
            return
        odd = Odd(end, reason)
        if settings.relabel and taken:
            odd.data = _without(body, start, end, taken)
        else:
            odd.taken = taken
        batch.add_odd(start, odd, message, source)

    def _find(self, body: bytes, at: int, end: int) -> tuple[int, int, list[tuple[str, int, int]]]:
        """The body's range and the wanted attributes (key, value start, value end) of one record.

        The one place that every record pays for, hence field by field without a call for the common ones.
        """
        found: list[tuple[str, int, int]] = []
        wanted = self._wanted
        body_at = body_end = at
        while at < end:
            tag = body[at]
            kind = tag & 7
            if kind == LENGTH and 7 < tag < 0x80:
                size, value_at = body[at + 1], at + 2
                if size >= 0x80:
                    size, value_at = varint(body, at + 1, end)
                at = value_at + size
                if tag == _ATTRIBUTES_TAG and at <= end:
                    # Keys stand first and are short; one that is not may hide a name of ours.
                    is_plain = (
                        at - value_at > 1
                        and body[value_at] == _KEY_TAG
                        and body[value_at + 1] < 0x80
                    )
                    if (
                        is_plain
                        and body[value_at + 2 : value_at + 2 + body[value_at + 1]] not in wanted
                    ):
                        continue
                    pair = read_pair(body, value_at, at)
                    if pair[0] in self._reader.wanted:
                        found.append(pair)
                elif tag == _BODY_TAG:
                    body_at, body_end = value_at, at
            elif 7 < tag < 0x80 and kind in _SCALAR_BYTES:
                at += 1 + _SCALAR_BYTES[kind]
            else:
                *_, at = next(protobuf.fields(body, at, end))
        if at != end:
            raise ValueError("a field is cut")
        return body_at, body_end, found

    def about(self, batch: OtlpBatch, frame: Frame) -> dict[str, Any]:
        """What a resource or scope says about itself, with its attributes as plain values. Raises ValueError."""
        if frame.about is None:
            return {}
        found = _members(
            batch.body, *frame.about, _ABOUT_RESOURCE if frame.scopes else _ABOUT_SCOPE
        )
        number = _RESOURCE_ATTRIBUTES if frame.scopes else _SCOPE_ATTRIBUTES
        return found | {"attributes": dict(read_pairs(batch.body, *frame.about, number))}

    def record(self, data: bytes) -> dict[str, Any]:
        """The members of a ``LogRecord``, body and attributes as plain values. Raises ValueError."""
        found = _members(data, 0, len(data), _MEMBERS)
        return found | {"attributes": dict(read_pairs(data, 0, len(data), _ATTRIBUTES))}

    # -- splice ---------------------------------------------------------------------------------

    def splice(self, batch: Batch, verdicts: Sequence[Verdict]) -> bytes:
        """The request with each verdict's attributes added; every other byte but lengths as it was."""
        return self.join(batch, self.split(batch, verdicts), 0, len(batch))

    def split(self, batch: Batch, verdicts: Sequence[Verdict]) -> list[bytes]:
        """Each labelled ``LogRecord`` on its own, without tag and length."""
        body, odd, records = batch.body, batch.odd, []
        ids = RecordIds(batch.tag)
        for i, (start, end, verdict) in enumerate(
            zip(batch.starts, batch.ends, verdicts, strict=True)
        ):
            if i in odd and not odd[i].is_spliced:
                records.append(body[start:end])
                continue
            data = odd[i].data if i in odd else None
            records.append(
                (body[start:end] if data is None else data) + self._suffix(batch, i, verdict, ids)
            )
        return records

    def join(self, batch: Batch, records: Sequence[bytes], start: int, stop: int) -> bytes:
        """The request that carries ``records[start:stop]`` (of `split`) in the frames they came in."""
        assert isinstance(batch, OtlpBatch)
        return batch.join(records, start, stop, _child, b"")

    def _suffix(self, batch: Batch, i: int, verdict: Verdict, ids: RecordIds) -> bytes:
        """The attributes that are appended to record ``i``."""
        odd = batch.odd.get(i)
        taken = odd.taken if odd else frozenset()
        start, end = batch.starts[i], batch.ends[i]
        if verdict.fields:
            text = batch.body[start:end]
            if any(name.encode() in text for name in verdict.fields):
                taken = taken.union(
                    name for name, _ in read_pairs(batch.body, start, end, _ATTRIBUTES)
                )
        if taken or verdict.fields:
            suffix = pack_pairs(self.plan.values(verdict, taken), _ATTRIBUTES)
        else:
            suffix = self._rendered[verdict]
        name = self.plan.settings.record_id
        if name and name not in taken:
            return suffix + pack_pairs([(name, ids.next(batch.body[start:end]))], _ATTRIBUTES)
        return suffix


def _child(payload: bytes, number: int) -> bytes:
    return b"%c%b%b" % (number << 3 | LENGTH, protobuf.pack_varint(len(payload)), payload)


def _members(data: bytes, start: int, end: int, names: Mapping[int, str]) -> dict[str, Any]:
    """The members ``names`` of the message in ``data[start:end]`` as plain values; ids in hexadecimal."""
    found: dict[str, Any] = {}
    for number, kind, _, at, stop in protobuf.fields(data, start, end):
        name = names.get(number)
        if name is None:
            continue
        if name == "body":
            found[name] = read_value(data, at, stop)
        elif kind == LENGTH:
            found[name] = (
                data[at:stop].hex()
                if name.endswith("_id")
                else data[at:stop].decode("utf-8", "replace")
            )
        elif kind == protobuf.VARINT:
            found[name] = varint(data, at, stop)[0]
        else:
            found[name] = int.from_bytes(data[at:stop], "little")
    return found


def _plain_string(data: bytes, at: int, end: int) -> str | None:
    """The text of an ``AnyValue`` that is nothing but a string; None for another, or for none."""
    if end - at < 2 or data[at] != _STRING_TAG:
        return None
    size, value_at = varint(data, at + 1, end)
    return data[value_at:end].decode("utf-8", "replace") if value_at + size == end else None


def _without(data: bytes, start: int, end: int, names: frozenset[str]) -> bytes:
    """The record in ``data[start:end]`` without its attributes ``names``; the rest byte for byte."""
    return b"".join(
        data[at:stop]
        for number, kind, at, value_at, stop in protobuf.fields(data, start, end)
        if (number, kind) != (_ATTRIBUTES, LENGTH)
        or read_pair(data, value_at, stop)[0] not in names
    )
