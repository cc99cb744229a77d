"""OTLP requests from protobuf to JSON and back, their records in the frames they came in.

A record or frame is converted by the tables of `waybill.wire.otlp.messages`. A record that cannot
be read goes as text, as everywhere between two encodings; a frame that cannot be read costs no
record and stays empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import orjson

from waybill.core.batch import Passed
from waybill.core.records import Verdict
from waybill.wire.event import wrapped
from waybill.wire.moments import Moment, split_seconds
from waybill.wire.otlp.frames import Frame, OtlpBatch
from waybill.wire.otlp.json_text import loads
from waybill.wire.otlp.log_record import Source, pack_record
from waybill.wire.otlp.messages import (
    LOG_RECORD,
    RESOURCE_LOGS,
    SCOPE_LOGS,
    Message,
    to_members,
    to_protobuf,
)
from waybill.wire.otlp.protobuf import pack_field
from waybill.wire.rendered import Context

_UNREADABLE = frozenset(("malformed_record", "not_an_object", "record_failed"))
#: A message of one encoding in the other one. Raises ValueError.
Convert = Callable[[bytes, Message], bytes]


class Place(NamedTuple):
    """Where children stand in their parent: the name of JSON, the number of protobuf."""

    name: bytes
    number: int


_RESOURCES = Place(b"resourceLogs", 1)
_SCOPES = Place(b"scopeLogs", 2)
_RECORDS = Place(b"logRecords", 2)
#: A parent with its children at a place; ``own``, what it says of itself, may be empty.
Gather = Callable[[bytes, Place, Sequence[bytes]], bytes]


def json_to_protobuf(
    batch: OtlpBatch,
    records: Sequence[bytes],
    verdicts: Sequence[Verdict],
    at: Context,
) -> bytes:
    """A request in protobuf of the labelled ``records`` in JSON that came as ``batch``."""
    seen_at = split_seconds(at.now())

    def record(i: int) -> bytes:
        try:
            return _as_protobuf(_readable(batch, records, i), LOG_RECORD)
        except ValueError:
            return _text(batch, i, verdicts[i], at, seen_at)

    return _nested(batch, lambda i: at.counted(record(i)), _as_protobuf, _with_fields)


def protobuf_to_json(
    batch: OtlpBatch,
    records: Sequence[bytes],
    verdicts: Sequence[Verdict],
    at: Context,
) -> bytes:
    """A request in JSON of the labelled ``records`` in protobuf that came as ``batch``."""
    seen_at = split_seconds(at.now())

    def record(i: int) -> bytes:
        try:
            return _as_json(_readable(batch, records, i), LOG_RECORD)
        except ValueError:
            return _as_json(_text(batch, i, verdicts[i], at, seen_at), LOG_RECORD)

    return _nested(batch, lambda i: at.counted(record(i)), _as_json, _with_member)


def _nested(
    batch: OtlpBatch, record: Callable[[int], bytes], convert: Convert, gather: Gather
) -> bytes:
    """A request of the records in the frames that they came in, but for frames without any."""
    resources: list[bytes] = []
    for resource in batch.resources:
        scopes: list[bytes] = []
        for scope in resource.scopes:
            records = [record(i) for i in range(scope.first, scope.stop)]
            if records:
                own = _frame(batch, scope, SCOPE_LOGS, convert)
                scopes.append(gather(own, _RECORDS, records))
        if scopes:
            own = _frame(batch, resource, RESOURCE_LOGS, convert)
            resources.append(gather(own, _SCOPES, scopes))
    return gather(b"", _RESOURCES, resources)


def _readable(batch: OtlpBatch, records: Sequence[bytes], i: int) -> bytes:
    """The bytes of labelled record ``i``. Raises ValueError where they could not be read before."""
    special = batch.specials.get(i)
    if isinstance(special, Passed) and special.reason in _UNREADABLE:
        raise ValueError(special.reason)
    return records[i]


def _text(batch: OtlpBatch, i: int, verdict: Verdict, at: Context, seen_at: Moment) -> bytes:
    """Record ``i`` as text in a ``LogRecord`` in protobuf."""
    return pack_record(wrapped(batch.data(i), at.plan, verdict), at.plan, Source(seen_at))


def _frame(batch: OtlpBatch, frame: Frame, message: Message, convert: Convert) -> bytes:
    """What a resource or scope says about itself, without its children."""
    own = b"".join([batch.body[gap.start : gap.end] for gap in frame.gaps])
    if not own:
        return b""
    try:
        return convert(own, message)
    except ValueError:
        return b""


def _as_protobuf(text: bytes, message: Message) -> bytes:
    return to_protobuf(loads(text)[0], message)


def _as_json(data: bytes, message: Message) -> bytes:
    return orjson.dumps(to_members(data, message))


def _with_fields(own: bytes, place: Place, children: Sequence[bytes]) -> bytes:
    """The message ``own`` in protobuf, and each of ``children`` as one more field."""
    return own + b"".join([pack_field(place.number, child) for child in children])


def _with_member(own: bytes, place: Place, children: Sequence[bytes]) -> bytes:
    """The object ``own`` in JSON with one more member: the list of ``children``."""
    own = own or b"{}"
    comma = b"," if own != b"{}" else b""
    return b'%b%b"%b":[%b]}' % (own[:-1], comma, place.name, b",".join(children))
