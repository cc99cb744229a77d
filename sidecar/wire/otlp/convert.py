"""Fluent and JSON records as OTLP log records.

The message becomes the body, everything else an attribute, the event's time (to the nanosecond) the
record's time; a Fluent tag becomes the attribute ``fluent.tag``, as the Collector's own receiver names it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from sidecar.records import Batch, Verdict
from sidecar.wire.fields import FieldPlan
from sidecar.wire.json import JsonCodec
from sidecar.wire.msgpack import MsgpackCodec
from sidecar.wire.otlp.values import pack_pairs, pack_value, pairs_to_json, to_json
from sidecar.wire.protobuf import FIXED64, pack_field
from sidecar.wire.transcode import Moment, readable_entry, readable_object, split_seconds, wrap_record

#: Fields of LogRecord in opentelemetry-proto's logs.proto.
_TIME, _BODY, _ATTRIBUTES, _OBSERVED = 1, 5, 6, 11
TAG_ATTRIBUTE, METADATA_ATTRIBUTE = "fluent.tag", "fluent.metadata"


def log_records(
    codec: JsonCodec | MsgpackCodec, batch: Batch, verdicts: Sequence[Verdict], now: Callable[[], float]
) -> list[bytes]:
    """Each labelled record as a ``LogRecord``, without tag and length."""
    plan = codec.plan
    seen_at = split_seconds(now())
    tag = [(TAG_ATTRIBUTE, batch.tag)] if batch.tag else []
    records = []
    for i, (data, verdict) in enumerate(zip(codec.split(batch, verdicts), verdicts, strict=True)):
        try:
            if isinstance(codec, MsgpackCodec):
                moment, metadata, record = readable_entry(data)
                extra = [*tag, (METADATA_ATTRIBUTE, metadata)] if metadata else tag
                records.append(_log_record(record, plan, moment, seen_at, extra))
            else:
                record, found = readable_object(data, plan)
                records.append(_log_record(record, plan, found, seen_at, tag))
        except ValueError:
            stop = batch.odd[i].stop if i in batch.odd else batch.ends[i] + 1
            original = data if isinstance(codec, MsgpackCodec) else batch.body[batch.starts[i] : stop]
            records.append(_log_record(wrap_record(original, plan, verdict), plan, None, seen_at, tag))
    return records


def fluent_request(records: Sequence[bytes]) -> bytes:
    """An ``ExportLogsServiceRequest`` of ``records`` in one resource and one scope that say nothing."""
    scope = b"".join(pack_field(2, record) for record in records)
    return pack_field(1, pack_field(2, scope))


def plain_record(record: Mapping[str, object], plan: FieldPlan, seconds: float, *, is_json: bool) -> bytes:
    """A request of one record, made of ``record`` (see `transcode.wrap_record`), seen at epoch ``seconds``."""
    if not is_json:
        return fluent_request([_log_record(record, plan, None, split_seconds(seconds), [])])
    body, attributes = _body_of(record, plan)
    log_record = {
        "observedTimeUnixNano": str(_nanos(split_seconds(seconds))),
        "body": to_json(body),
        "attributes": pairs_to_json(list(attributes.items())),
    }
    return orjson.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [log_record]}]}]})


def _log_record(
    record: Mapping[str, Any], plan: FieldPlan, moment: Moment | None, seen_at: Moment, extra: Sequence[tuple[str, Any]]
) -> bytes:
    body, attributes = _body_of(record, plan)
    head = struct.pack("<BQ", _TIME << 3 | FIXED64, _nanos(moment)) if moment is not None else b""
    head += struct.pack("<BQ", _OBSERVED << 3 | FIXED64, _nanos(seen_at))
    content = pack_field(_BODY, pack_value(body)) if body is not None else b""
    return head + content + pack_pairs([*attributes.items(), *extra], _ATTRIBUTES)


def _body_of(record: Mapping[str, Any], plan: FieldPlan) -> tuple[str | None, Mapping[str, Any]]:
    """The message, and what is left: a message below the top level stays where it is as well."""
    for path in plan.message:
        value: Any = record
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, str):
            rest = {key: item for key, item in record.items() if key != path[0]} if len(path) == 1 else record
            return value, rest
    return None, record


def _nanos(moment: Moment) -> int:
    return moment[0] * 10**9 + moment[1]
