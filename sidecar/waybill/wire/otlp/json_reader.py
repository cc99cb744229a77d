"""Walks the frames of an OTLP request in JSON down to each log record."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import msgspec

from waybill.core.batch import Batch, Passed
from waybill.core.reasons import RecordReason
from waybill.wire.allowance import MOST_RECORD_BYTES
from waybill.wire.codec import DECODE_ERRORS
from waybill.wire.event import Record, members_of
from waybill.wire.fields import FieldPlan
from waybill.wire.json import scan
from waybill.wire.json.scan import Span
from waybill.wire.otlp.frames import Frame, OtlpBatch
from waybill.wire.otlp.json_text import loads, walk, without_attributes
from waybill.wire.otlp.json_values import from_json, pairs_from_json
from waybill.wire.otlp.lookup import Lookup

#: Each name as the specification has it and as protobuf's own JSON readers take it, too; behind
#: them as exporters of before 2022 have it.
RESOURCES = ("resourceLogs", "resource_logs")
_SCOPES = (
    "scopeLogs",
    "scope_logs",
    "instrumentationLibraryLogs",
    "instrumentation_library_logs",
)
_RECORDS = ("logRecords", "log_records", "logs")
_RESOURCE_MEMBERS = frozenset(("resource", "schemaUrl", "schema_url", *_SCOPES))
_SCOPE_MEMBERS = frozenset(
    ("scope", "instrumentationLibrary", "instrumentation_library", "schemaUrl", "schema_url")
).union(_RECORDS)


class _Scope(msgspec.Struct):
    records: list[msgspec.Raw] | None = msgspec.field(name=_RECORDS[0], default=None)


class _Resource(msgspec.Struct):
    scopes: list[_Scope] | None = msgspec.field(name=_SCOPES[0], default=None)


class _Request(msgspec.Struct):
    resources: list[_Resource] | None = msgspec.field(name=RESOURCES[0], default=None)


_REQUEST = msgspec.json.Decoder(_Request)


class OtlpJsonReader:
    """Reads the records of requests into batches, for one `FieldPlan`."""

    def __init__(self, plan: FieldPlan) -> None:
        self._policy = plan.policy
        self._lookup = Lookup(plan)

    def read_request(self, batch: OtlpBatch, start: int) -> bool:
        """Read the request at ``start``; whether it may be one: empty, or with a name of ours.

        Raises:
            ValueError: the frames cannot be read.
        """
        body = batch.body
        sizes = _sizes(body)
        found = walk(body, start, RESOURCES, lambda at: self._read_resource(batch, at, sizes))
        if scan.skip_space(body, found.end) < len(body):
            raise ValueError("something follows the request")
        batch.gaps = found.gaps(0, len(batch.resources))
        return not found.members or not found.members.keys().isdisjoint(RESOURCES)

    def _read_resource(self, batch: OtlpBatch, start: int, sizes: Iterator[int]) -> int:
        body = batch.body
        frame = Frame(len(batch))
        spans: list[Span] = []

        def note_record(at: int) -> int:
            batch.check_room(len(spans) + 1)
            size = next(sizes, 0)
            end = at + size if size else scan.value_end(body, at)
            spans.append((at, end))
            return end

        def read_scope(at: int) -> int:
            first = frame.first + len(spans)
            found = walk(body, at, _RECORDS, note_record)
            stop = frame.first + len(spans)
            about = found.members.get("scope")
            scope = Frame(first, stop, found.gaps(first, stop), about=about)
            batch.add_frame(frame.scopes, scope)
            return found.end

        found = walk(body, start, _SCOPES, read_scope)
        frame.gaps = found.gaps(0, len(frame.scopes))
        frame.about = found.members.get("resource")
        for one in (frame, *frame.scopes):
            if one.about and scan.is_too_much(body[slice(*one.about)]):
                raise ValueError("a resource or scope says too much about itself")
        # Members may come in any order: only now is the resource known to be whole.
        self._lookup.note_source(_attributes(about_frame(body, frame)), frame)
        read = functools.partial(self._read_record, frame)
        for at, stop in spans:
            batch.add_with(read, at, stop)
        frame.stop = len(batch)
        batch.add_frame(batch.resources, frame)
        return found.end

    def _read_record(self, resource: Frame, batch: Batch, start: int, end: int) -> None:
        if end - start > MOST_RECORD_BYTES:
            batch.add_special(start, Passed(end, "record_too_large"))
            return
        data = batch.body[start:end]
        record, is_strict = loads(data)
        if not isinstance(record, dict):
            reason: RecordReason = "not_an_object" if is_strict else "malformed_record"
            batch.add_special(start, Passed(end, reason))
            return
        try:
            attributes = dict(pairs_from_json(record.get("attributes"), self._lookup.wanted))
            content = from_json(record.get("body"))
        except ValueError:
            batch.add_special(start, Passed(end, "malformed_record"))
            return
        found = self._lookup.read(attributes, content, resource)
        if found.message is not None and not is_strict:
            found.message = found.message.encode("utf-8", "replace").decode()
        taken = self._lookup.taken(attributes)
        if is_strict and not taken and found.reason is None:
            batch.add(start, end, found.message, found.source)
            return
        self._policy.add(
            batch,
            start,
            end,
            taken,
            lambda: found,
            lambda names: without_attributes(data, names),
            lambda name: attributes[name] in (None, ""),
        )


def stranger_in(request: bytes) -> str:
    """A member of a request without records that is not OTLP's: in it may be what was meant."""
    found, _ = loads(request)
    if found is None:
        return "what is too much to be read"
    for resource in _items(found, RESOURCES):
        for scope in _items(resource, _SCOPES):
            for name in scope.keys() - _SCOPE_MEMBERS:
                return name
        for name in resource.keys() - _RESOURCE_MEMBERS:
            return name
    return ""


def _items(frame: object, names: Sequence[str]) -> Iterator[dict[str, object]]:
    """The objects in the lists of ``frame``; of a name that stands twice there may be none."""
    if not isinstance(frame, dict):
        return
    for name in names:
        found = frame.get(name)
        if isinstance(found, list):
            yield from filter(lambda one: isinstance(one, dict), found)


def about_frame(body: bytes, frame: Frame) -> Record:
    """What a resource or scope says about itself, in plain values. Raises ValueError."""
    if frame.about is None:
        return {}
    found, _ = loads(body[slice(*frame.about)])
    return plain_members(found or {})


def _attributes(about: Record) -> Record:
    attributes = about.get("attributes")
    return attributes if isinstance(attributes, dict) else {}


def plain_members(found: object) -> Record:
    """The members of a record, resource or scope, with attributes and body as plain values.

    Raises:
        ValueError: ``found`` is not an object, or its values are none of OTLP's.
    """
    if not isinstance(found, dict):
        raise ValueError("not an object")
    members: Record = dict(found)
    members["attributes"] = members_of(list(pairs_from_json(found.get("attributes"))))
    if "body" in found:
        members["body"] = from_json(found["body"])
    return members


def _sizes(body: bytes) -> Iterator[int]:
    """The sizes of all records in order, from a strict parser, which is fast.

    There are none where that parser takes offence.
    """
    # It knows one spelling of the names: where another occurs, it would skip records.
    for name in (*RESOURCES[1:], *_SCOPES[1:], *_RECORDS[1:]):
        if b'"%b"' % name.encode() in body:
            return
    try:
        request = _REQUEST.decode(body)
    except DECODE_ERRORS:
        return
    for resource in request.resources or ():
        for scope in resource.scopes or ():
            for record in scope.records or ():
                yield memoryview(record).nbytes
