"""Fluent and JSON records as OTLP log records.

The message becomes the body, everything else an attribute, the event's time (to the nanosecond) the
record's time; a Fluent tag becomes the attribute ``fluent.tag``, as the Collector's own receiver names it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import orjson

from waybill.core.records import Batch, Verdict
from waybill.wire.fields import FieldPlan
from waybill.wire.json.codec import JsonCodec
from waybill.wire.msgpack.codec import MsgpackCodec
from waybill.wire.otlp.protobuf import FIXED32, FIXED64, pack_field, pack_number
from waybill.wire.otlp.values import pack_pairs, pack_value, pairs_to_json, to_json
from waybill.wire.transcode import (
    Moment,
    readable_entry,
    readable_object,
    split_seconds,
    wrap_record,
)

#: Fields of LogRecord in opentelemetry-proto's logs.proto.
_TIME, _SEVERITY_NUMBER, _BODY, _ATTRIBUTES, _FLAGS, _OBSERVED = 1, 2, 5, 6, 8, 11
#: What Fluent Bit's ``opentelemetry`` input keeps of a LogRecord under ``otlp`` in the event's metadata.
_METADATA = {
    "severity_number": _SEVERITY_NUMBER, "severity_text": 3, "trace_flags": _FLAGS, "trace_id": 9, "span_id": 10,
}  # fmt: skip
TAG_ATTRIBUTE, METADATA_ATTRIBUTE = "fluent.tag", "fluent.metadata"


class _Group(msgspec.Struct):
    """Records of one resource and scope, whose own fields are ``resource`` and ``scope``."""

    resource: bytes = b""
    scope: bytes = b""
    records: list[bytes] = []

    def pack(self) -> bytes:
        """The group as a field of the request."""
        records = b"".join([pack_field(2, record) for record in self.records])
        return pack_field(1, self.resource + pack_field(2, self.scope + records))


def to_request(
    codec: JsonCodec | MsgpackCodec,
    batch: Batch,
    verdicts: Sequence[Verdict],
    now: Callable[[], float],
) -> tuple[bytes, list[Verdict]]:
    """The labelled records as an ``ExportLogsServiceRequest``, and the verdict of each record in it.

    Fluent Bit's group markers are no records: they become the resource and scope of what stands between them.
    """
    seen_at = split_seconds(now())
    tag = [(TAG_ATTRIBUTE, batch.tag)] if batch.tag else []
    groups = [_Group()]
    kept = []
    for i, (data, verdict) in enumerate(zip(codec.split(batch, verdicts), verdicts, strict=True)):
        odd = batch.odd.get(i)
        try:
            if isinstance(codec, MsgpackCodec):
                moment, metadata, record = readable_entry(data)
                if odd is not None and odd.reason == "group_marker":
                    groups.append(_open_group(record))
                    continue
                groups[-1].records.append(
                    _log_record(record, codec.plan, moment, seen_at, metadata, tag)
                )
            else:
                record, found = readable_object(data, codec.plan)
                groups[-1].records.append(_log_record(record, codec.plan, found, seen_at, {}, tag))
        except ValueError:
            stop = odd.stop if odd is not None else batch.ends[i] + 1
            original = (
                data if isinstance(codec, MsgpackCodec) else batch.body[batch.starts[i] : stop]
            )
            wrapped = wrap_record(original, codec.plan, verdict)
            groups[-1].records.append(_log_record(wrapped, codec.plan, None, seen_at, {}, tag))
        kept.append(verdict)
    return b"".join([group.pack() for group in groups if group.records]), kept


def _open_group(marker: Mapping[str, Any]) -> _Group:
    """The group that a marker's record describes; one that ends a group describes nothing."""
    resource, scope = (_map(marker.get(name)) for name in ("resource", "scope"))
    about = pack_pairs(_map(resource.get("attributes")).items(), 1)
    texts = [(number, scope.get(name)) for number, name in ((1, "name"), (2, "version"))]
    about_scope = b"".join(
        [pack_field(number, text.encode()) for number, text in texts if isinstance(text, str)]
    )
    about_scope += pack_pairs(_map(scope.get("attributes")).items(), 3)
    return _Group(pack_field(1, about), pack_field(1, about_scope))


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def plain_record(
    record: Mapping[str, object], plan: FieldPlan, seconds: float, *, is_json: bool
) -> bytes:
    """A request of one record, made of ``record`` (see `transcode.wrap_record`), seen at epoch ``seconds``."""
    if not is_json:
        return _Group(
            records=[_log_record(record, plan, None, split_seconds(seconds), {}, [])]
        ).pack()
    body, attributes = _body_of(record, plan)
    log_record = {
        "observedTimeUnixNano": str(_nanos(split_seconds(seconds))),
        "body": to_json(body),
        "attributes": pairs_to_json(list(attributes.items())),
    }
    return orjson.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [log_record]}]}]})


def _log_record(
    record: Mapping[str, Any],
    plan: FieldPlan,
    moment: Moment | None,
    seen_at: Moment,
    metadata: Mapping[str, Any],
    extra: Sequence[tuple[str, Any]],
) -> bytes:
    """A ``LogRecord``; what Fluent Bit keeps of one in an event's metadata goes where it came from."""
    body, attributes = _body_of(record, plan)
    known = _map(metadata.get("otlp"))
    pieces = (
        [struct.pack("<BQ", _TIME << 3 | FIXED64, _nanos(moment))] if moment is not None else []
    )
    observed = known.get("observed_timestamp")
    nanos = observed if isinstance(observed, int) and 0 < observed < 1 << 64 else _nanos(seen_at)
    pieces.append(struct.pack("<BQ", _OBSERVED << 3 | FIXED64, nanos))
    for name, number in _METADATA.items():
        value = known.get(name)
        if isinstance(value, str | bytes) and value:
            pieces.append(
                pack_field(
                    number, value if isinstance(value, bytes) else value.encode("utf-8", "replace")
                )
            )
        elif isinstance(value, int) and number == _SEVERITY_NUMBER:
            pieces.append(pack_number(number, value))
        elif isinstance(value, int) and number == _FLAGS:
            pieces.append(struct.pack("<BI", _FLAGS << 3 | FIXED32, value & 0xFFFFFFFF))
    if body is not None:
        pieces.append(pack_field(_BODY, pack_value(body)))
    pieces.append(pack_pairs(_map(known.get("attributes")).items(), _ATTRIBUTES))
    rest = {name: value for name, value in metadata.items() if name != "otlp"}
    beside = [*extra, (METADATA_ATTRIBUTE, rest)] if rest else extra
    pieces.append(pack_pairs([*attributes.items(), *beside], _ATTRIBUTES))
    return b"".join(pieces)


def _body_of(record: Mapping[str, Any], plan: FieldPlan) -> tuple[str | None, Mapping[str, Any]]:
    """The message, and what is left: a message below the top level stays where it is as well."""
    for path in plan.message:
        value: Any = record
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, str):
            rest = (
                {key: item for key, item in record.items() if key != path[0]}
                if len(path) == 1
                else record
            )
            return value, rest
    return None, record


def _nanos(moment: Moment) -> int:
    return moment[0] * 10**9 + moment[1]
