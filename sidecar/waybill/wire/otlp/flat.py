"""OTLP log records as plain records, for receivers that know no OTLP.

A text body becomes the message field, a body that is a map the record itself; our own fields stand beside
it, as in any other record. What else OTLP says goes under names of its own: ``attributes``, ``resource``,
``scope``, ``severity_text``, ``severity_number``, ``trace_id``, ``span_id``, ``flags``, ``event_name``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from waybill.core.records import Batch, Verdict
from waybill.wire.otlp.frames import Frame, OtlpBatch
from waybill.wire.otlp.json import OtlpJsonCodec
from waybill.wire.otlp.proto import OtlpCodec

#: LogRecord's members but time, body and attributes: (in JSON, in protobuf and in our records).
_MEMBERS = (
    ("severityText", "severity_text"),
    ("severityNumber", "severity_number"),
    ("traceId", "trace_id"),
    ("spanId", "span_id"),
    ("flags", "flags"),
    ("eventName", "event_name"),
)
_RESERVED = frozenset(("attributes", "resource", "scope", "body", *(name for _, name in _MEMBERS)))


class Flat(msgspec.Struct):
    """A labelled record (None where it cannot be read), its time and the bytes that it came in.

    ``nanos`` since the epoch, 0 where unknown.
    """

    record: dict[str, Any] | None
    nanos: int
    original: bytes


def flat_records(
    codec: OtlpCodec | OtlpJsonCodec, batch: Batch, verdicts: Sequence[Verdict]
) -> Iterator[Flat]:
    """Each labelled record, in order."""
    assert isinstance(batch, OtlpBatch)
    labelled = codec.split(batch, verdicts)
    for resource in batch.resources:
        about_resource = _about(codec, batch, resource).get("attributes")
        for scope in resource.scopes:
            above = _kept({"resource": about_resource, "scope": _kept(_about(codec, batch, scope))})
            for i in range(scope.first, scope.stop):
                own = {*codec.plan.added, *(verdicts[i].fields or ())}
                original = batch.body[batch.starts[i] : batch.ends[i]]
                try:
                    found = codec.record(labelled[i])
                    yield Flat(
                        _flat(found, codec.plan.message[0][0], own) | above, _nanos(found), original
                    )
                except (ValueError, TypeError, OverflowError):
                    yield Flat(None, 0, original)


def _about(codec: OtlpCodec | OtlpJsonCodec, batch: OtlpBatch, frame: Frame) -> dict[str, Any]:
    """What a frame says about itself; what cannot be read costs no record."""
    try:
        return codec.about(batch, frame)
    except ValueError:
        return {}


def _flat(found: Mapping[str, Any], message: str, own: set[str]) -> dict[str, Any]:
    body, attributes = found.get("body"), found["attributes"]
    if not isinstance(body, Mapping):
        record = {} if body is None else {message: body}
    else:
        record = {"body": body} if _RESERVED.intersection(body) else dict(body)
    rest = {name: value for name, value in attributes.items() if name not in own}
    members = {name: found.get(camel) or found.get(name) for camel, name in _MEMBERS}
    ours = {name: value for name, value in attributes.items() if name in own}
    return record | ours | _kept({"attributes": rest} | members)


def _kept(members: Mapping[str, Any]) -> dict[str, Any]:
    """Without what OTLP's encodings leave out as well: nothing, empty and zero."""
    return {name: value for name, value in members.items() if value}


def _nanos(found: Mapping[str, Any]) -> int:
    """The record's time, else when it was observed; 64-bit numbers are strings in JSON."""
    names = ("timeUnixNano", "time_unix_nano", "observedTimeUnixNano", "observed_time_unix_nano")
    times = [int(found.get(name) or 0) for name in names]
    return next((time for time in times if time), 0)
