"""Records as OTLP requests.

What came as OTLP stays in its resources and scopes, byte for byte where it keeps its encoding. Of
what came as Fluent or JSON records, the event's time (to the nanosecond) is the record's time, a
Fluent tag the attribute ``fluent.tag``, as the Collector's own receiver names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from waybill.core.batch import Batch
from waybill.core.records import Verdict
from waybill.wire.codec import Codec, Encoding
from waybill.wire.convert.otlp_frames import json_to_protobuf, protobuf_to_json
from waybill.wire.event import RAW_FIELD, Event, as_base64, wrapped
from waybill.wire.moments import split_seconds
from waybill.wire.otlp.frames import OtlpBatch
from waybill.wire.otlp.json import OtlpJsonCodec
from waybill.wire.otlp.log_record import (
    Source,
    as_map,
    pack_group,
    pack_record,
    plain_json_request,
    plain_request,
)
from waybill.wire.otlp.proto import OtlpCodec
from waybill.wire.otlp.protobuf import pack_field
from waybill.wire.otlp.values import pack_pairs
from waybill.wire.rendered import Context, Rendered

TAG_ATTRIBUTE = "fluent.tag"
_CONTENT_TYPES = {
    Encoding.OTLP: "application/x-protobuf",
    Encoding.OTLP_JSON: "application/json",
}


class OtlpForm:
    """One ``ExportLogsServiceRequest`` per body, in ``encoding``.

    Without one, OTLP keeps the encoding in which it came, and everything else becomes protobuf.
    """

    family = frozenset((Encoding.OTLP, Encoding.OTLP_JSON))

    def __init__(self, encoding: Encoding | None = None) -> None:
        self.native = self.family if encoding is None else frozenset((encoding,))

    def keep(
        self, codec: Codec, batch: Batch, verdicts: Sequence[Verdict], at: Context
    ) -> Rendered:
        """Requests as they came, spliced; in the other encoding where this one is not wanted."""
        records = codec.split(batch, verdicts)
        if codec.encoding not in self.native:
            return _in_other_encoding(codec, batch, records, verdicts, at)
        return _rendered(codec, batch, records, verdicts, at)

    def convert(self, events: Iterable[Event], at: Context) -> Rendered:
        """Each event as a record; group markers become resources and scopes."""
        body, verdicts = to_request(events, at)
        codec = OtlpCodec(at.plan)
        batch = codec.decode(body, tag=at.tag)
        records = [batch.data(i) for i in range(len(batch))]
        if codec.encoding not in self.native:
            return _in_other_encoding(codec, batch, records, verdicts, at)
        return _rendered(codec, batch, records, verdicts, at)


def _in_other_encoding(
    codec: Codec,
    batch: Batch,
    records: Sequence[bytes],
    verdicts: Sequence[Verdict],
    at: Context,
) -> Rendered:
    """Labelled records of one of OTLP's encodings in the other one."""
    assert isinstance(batch, OtlpBatch)
    other: OtlpCodec | OtlpJsonCodec
    if codec.encoding is Encoding.OTLP:
        other = OtlpJsonCodec(at.plan)
        change = protobuf_to_json
    else:
        other = OtlpCodec(at.plan)
        change = json_to_protobuf
    body = change(batch, records, verdicts, at)
    changed = other.decode(body, tag=at.tag)
    again = [changed.data(i) for i in range(len(changed))]
    return _rendered(other, changed, again, verdicts, at)


def _rendered(
    codec: Codec,
    batch: Batch,
    records: Sequence[bytes],
    verdicts: Sequence[Verdict],
    at: Context,
) -> Rendered:
    as_text = _as_json if codec.encoding is Encoding.OTLP_JSON else _as_protobuf
    return Rendered(
        _CONTENT_TYPES[codec.encoding],
        codec.sizes(batch, records),
        lambda start, stop: codec.join(batch, records, start, stop),
        lambda i: as_text(records[i], batch.messages[i], verdicts[i], at),
    )


def _as_json(data: bytes, _message: str | None, verdict: Verdict, at: Context) -> bytes:
    record = wrapped(data, at.plan, verdict)
    return plain_json_request(record, at.plan, split_seconds(at.now()))


def _as_protobuf(data: bytes, message: str | None, verdict: Verdict, at: Context) -> bytes:
    """A protobuf record as text: its message, with the whole record beside it."""
    record = wrapped(data, at.plan, verdict)
    record[at.plan.message[0][0]] = message or ""
    record[RAW_FIELD] = as_base64(data)
    return plain_request(record, at.plan, split_seconds(at.now()))


class _Group(msgspec.Struct):
    """Records of one resource and scope, whose own fields are ``resource`` and ``scope``."""

    resource: bytes = b""
    scope: bytes = b""
    records: list[bytes] = []


def to_request(events: Iterable[Event], at: Context) -> tuple[bytes, list[Verdict]]:
    """A request in protobuf with a record for each event, and the verdict of each record in it.

    Fluent Bit's group markers are no records: they become the resource and scope of what stands
    between them.
    """
    seen_at = split_seconds(at.now())
    tag = [(TAG_ATTRIBUTE, at.tag)] if at.tag else []
    groups = [_Group()]
    kept: list[Verdict] = []
    for event in events:
        if event.is_group_marker and event.record is not None:
            groups.append(_open_group(event.record))
            continue
        source = Source(seen_at, event.moment, event.metadata, tag)
        groups[-1].records.append(at.counted(_pack_event(event, at, source)))
        kept.append(event.verdict)
    packed = [
        pack_group(group.records, group.resource, group.scope) for group in groups if group.records
    ]
    return b"".join(packed), kept


def _pack_event(event: Event, at: Context, source: Source) -> bytes:
    if event.record is not None:
        try:
            return pack_record(event.record, at.plan, source)
        except ValueError:  # nested too deep
            pass
    record = wrapped(event.original, at.plan, event.verdict)
    return pack_record(record, at.plan, Source(source.seen_at, attributes=source.attributes))


def _open_group(marker: Mapping[str, object]) -> _Group:
    """The group that a marker's record describes; one that ends a group describes nothing."""
    resource = as_map(marker.get("resource"))
    scope = as_map(marker.get("scope"))
    about = pack_pairs(as_map(resource.get("attributes")).items(), 1)
    about_scope = b""
    for number, name in ((1, "name"), (2, "version")):
        text = scope.get(name)
        if isinstance(text, str):
            about_scope += pack_field(number, text.encode())
    about_scope += pack_pairs(as_map(scope.get("attributes")).items(), 3)
    return _Group(pack_field(1, about), pack_field(1, about_scope))
