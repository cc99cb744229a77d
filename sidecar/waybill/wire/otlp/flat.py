"""OTLP log records as plain records, for receivers that know no OTLP.

A text body becomes the message field, a body that is a map the record itself; our own fields stand
beside it, as in any other record. What else OTLP says goes under names of its own: ``attributes``,
``resource``, ``scope``, ``severity_text``, ``severity_number``, ``trace_id``, ``span_id``,
``flags``, ``event_name``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from waybill.core.errors import MalformedError
from waybill.core.records import Verdict
from waybill.wire.event import Event, Record, jsonable_members, members_of
from waybill.wire.fields import FieldPlan
from waybill.wire.moments import Moment
from waybill.wire.otlp.frames import Frame, OtlpBatch

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
#: The record's time, else when it was observed; 64-bit numbers are strings in JSON.
_TIMES = ("timeUnixNano", "time_unix_nano", "observedTimeUnixNano", "observed_time_unix_nano")
#: Of what frames say, in all records together. An ordinary body of 250,000 records says 100 MB.
_MOST_REPEATED = 128 << 20
#: What EventTime can say ends here.
_END_NANOS = 2**32 * 10**9


class Describes(Protocol):
    """What both OTLP codecs tell about their records."""

    @property
    def plan(self) -> FieldPlan:
        """The fields that are read and added."""
        ...

    def split(self, batch: OtlpBatch, verdicts: Sequence[Verdict]) -> list[bytes]:
        """Each labelled record on its own."""
        ...

    def about(self, batch: OtlpBatch, frame: Frame) -> Record:
        """What a resource or scope says about itself. Raises ValueError."""
        ...

    def record(self, data: bytes) -> Record:
        """The members of a record. Raises ValueError."""
        ...


def flat_events(codec: Describes, batch: OtlpBatch, verdicts: Sequence[Verdict]) -> Iterator[Event]:
    """Each labelled record, in order."""
    labelled = codec.split(batch, verdicts)
    _check_repeated(batch)
    for resource in batch.resources:
        of_resource = _about(codec, batch, resource).get("attributes")
        for scope in resource.scopes:
            of_scope = _kept(_about(codec, batch, scope))
            above = _kept({"resource": of_resource, "scope": of_scope})
            for i in range(scope.first, scope.stop):
                event = Event(verdicts[i], original=batch.data(i))
                if not batch.is_set_aside(i):
                    _fill(event, codec, labelled[i], above)
                yield event


def _check_repeated(batch: OtlpBatch) -> None:
    """Raise MalformedError where the records together would repeat too much of their frames.

    Each record takes along what its resource and scope say: a megabyte, ten thousand times.
    """
    repeated = 0
    for resource in batch.resources:
        for frame in (resource, *resource.scopes):
            start, end = frame.about or (0, 0)
            repeated += (end - start) * (frame.stop - frame.first)
    if repeated > _MOST_REPEATED:
        raise MalformedError("too_large", "each record would repeat what its resource says")


def _fill(event: Event, codec: Describes, data: bytes, above: Record) -> None:
    """Give ``event`` the record in ``data``, if that can be read."""
    own = {*codec.plan.policy.added, *event.verdict.extra_fields()}
    try:
        found = codec.record(data)
        event.moment = _moment(found)
        flat = _flat(found, codec.plan.message[0][0], own)
        event.record = jsonable_members({**flat, **above})
    except (ValueError, TypeError, OverflowError):
        event.record = None


def _about(codec: Describes, batch: OtlpBatch, frame: Frame) -> Record:
    """What a frame says about itself; what cannot be read costs no record."""
    try:
        return codec.about(batch, frame)
    except ValueError:
        return {}


def _flat(found: Record, message: str, own: set[str]) -> Record:
    record = _from_body(found.get("body"), message)
    rest: Record = {}
    attributes = found["attributes"]
    assert isinstance(attributes, Mapping)  # both codecs see to it
    given: list[tuple[str, object]] = []
    for name, value in attributes.items():
        if name in own:
            given.append((name, value))
        else:
            rest[name] = value
    record = members_of([*record.items(), *given])
    members: Record = {"attributes": rest}
    for camel, name in _MEMBERS:
        members[name] = found.get(camel) or found.get(name)
    return record | _kept(members)


def _from_body(body: object, message: str) -> Record:
    if body is None:
        return {}
    if not isinstance(body, Mapping):
        return {message: body}
    if _RESERVED.intersection(body):
        return {"body": body}
    return dict(body)


def _kept(members: Mapping[str, object]) -> Record:
    """Without what OTLP's encodings leave out as well: nothing, empty and zero."""
    return {name: value for name, value in members.items() if value}


def _moment(found: Record) -> Moment | None:
    """The record's time; None where it has none that fits EventTime."""
    for name in _TIMES:
        value = found.get(name)
        nanos = int(value) if isinstance(value, str | int | float) and value else 0
        if nanos:
            return divmod(nanos, 10**9) if 0 < nanos < _END_NANOS else None
    return None
