"""``LogRecord`` messages made of plain records: from Fluent, from JSON, or of what goes as text.

The message becomes the body, everything else an attribute. Field numbers as in
opentelemetry-proto's logs.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import msgspec
import orjson

from waybill.core.prepare import is_blank
from waybill.wire.event import value_at
from waybill.wire.fields import FieldPlan
from waybill.wire.moments import Moment, nanoseconds
from waybill.wire.otlp.json_values import pairs_to_json, to_json
from waybill.wire.otlp.protobuf import FIXED32, FIXED64, pack_field, pack_number
from waybill.wire.otlp.values import pack_pairs, pack_value
from waybill.wire.policy import Pairs

_TIME, _SEVERITY_NUMBER, _SEVERITY_TEXT, _BODY, _ATTRIBUTES = 1, 2, 3, 5, 6
_FLAGS, _TRACE_ID, _SPAN_ID, _OBSERVED = 8, 9, 10, 11
#: What Fluent Bit's ``opentelemetry`` input keeps of a LogRecord under ``otlp`` in the metadata.
_KNOWN = {
    "severity_number": _SEVERITY_NUMBER,
    "severity_text": _SEVERITY_TEXT,
    "trace_flags": _FLAGS,
    "trace_id": _TRACE_ID,
    "span_id": _SPAN_ID,
}
_TEXTS = frozenset((_SEVERITY_TEXT, _TRACE_ID, _SPAN_ID))
METADATA_ATTRIBUTE = "fluent.metadata"


class Source(msgspec.Struct):
    """What comes with a record: when it was written (None: unknown) and seen, and its metadata.

    ``attributes`` stand behind the record's own.
    """

    seen_at: Moment
    moment: Moment | None = None
    metadata: Mapping[str, object] = {}
    attributes: Pairs = ()


def pack_record(record: Mapping[str, object], plan: FieldPlan, source: Source) -> bytes:
    """A ``LogRecord``; what Fluent Bit keeps of one in the metadata goes where it came from.

    Raises:
        ValueError: a value is nested too deep.
    """
    message, rest = split_message(record, plan)
    known = as_map(source.metadata.get("otlp"))
    pieces: list[bytes] = []
    if source.moment is not None:
        pieces.append(_fixed64(_TIME, nanoseconds(source.moment)))
    pieces.append(_fixed64(_OBSERVED, _observed(known, source.seen_at)))
    pieces += _pack_known(known)
    if message is not None:
        pieces.append(pack_field(_BODY, pack_value(message)))
    pieces.append(pack_pairs(as_map(known.get("attributes")).items(), _ATTRIBUTES))
    pieces.append(pack_pairs(rest.items(), _ATTRIBUTES))
    pieces.append(pack_pairs(source.attributes, _ATTRIBUTES))
    others = {name: value for name, value in source.metadata.items() if name != "otlp"}
    if others:
        pieces.append(pack_pairs([(METADATA_ATTRIBUTE, others)], _ATTRIBUTES))
    return b"".join(pieces)


def _observed(known: Mapping[str, object], seen_at: Moment) -> int:
    observed = known.get("observed_timestamp")
    if isinstance(observed, int) and 0 < observed < 1 << 64:
        return observed
    return nanoseconds(seen_at)


def _pack_known(known: Mapping[str, object]) -> list[bytes]:
    """Severity, flags and ids."""
    pieces: list[bytes] = []
    for name, number in _KNOWN.items():
        value = known.get(name)
        if number == _SEVERITY_NUMBER and isinstance(value, int):
            pieces.append(pack_number(number, value))
        elif number == _FLAGS and isinstance(value, int):
            pieces.append(struct.pack("<BI", number << 3 | FIXED32, value & 0xFFFFFFFF))
        elif number in _TEXTS and isinstance(value, str | bytes) and value:
            pieces.append(pack_field(number, _encoded(value)))
    return pieces


def _encoded(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "replace")


def _fixed64(number: int, value: int) -> bytes:
    return struct.pack("<BQ", number << 3 | FIXED64, value)


def split_message(
    record: Mapping[str, object], plan: FieldPlan
) -> tuple[str | None, Mapping[str, object]]:
    """The message, and what is left: a message below the top level stays where it is as well."""
    for path in plan.message:
        value = value_at(record, path)
        if isinstance(value, str) and not is_blank(value):
            if len(path) > 1:
                return value, record
            return value, {key: item for key, item in record.items() if key != path[0]}
    return None, record


def as_map(value: object) -> Mapping[str, object]:
    """``value`` if it is a map, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def pack_group(records: list[bytes], resource: bytes = b"", scope: bytes = b"") -> bytes:
    """``LogRecord`` messages in one scope of one resource, as a field of a request."""
    packed = b"".join([pack_field(2, record) for record in records])
    return pack_field(1, resource + pack_field(2, scope + packed))


def plain_request(record: Mapping[str, object], plan: FieldPlan, seen_at: Moment) -> bytes:
    """A request of one plain record, in protobuf."""
    return pack_group([pack_record(record, plan, Source(seen_at))])


def plain_json_request(record: Mapping[str, object], plan: FieldPlan, seen_at: Moment) -> bytes:
    """A request of one plain record, in JSON."""
    message, rest = split_message(record, plan)
    log_record = {
        "observedTimeUnixNano": str(nanoseconds(seen_at)),
        "body": to_json(message),
        "attributes": pairs_to_json(list(rest.items())),
    }
    return orjson.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [log_record]}]}]})
