"""OTLP logs in JSON: the same request, spliced as text.

Our attributes go before the closing bracket of each record's ``attributes``; spacing, key order, number
spellings and fields unknown to us stay as they were.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import orjson

from waybill.core.errors import MalformedError
from waybill.core.reasons import RecordReason
from waybill.core.records import Batch, Odd, Verdict
from waybill.wire.fields import FieldPlan, SuffixCache
from waybill.wire.ids import RecordIds
from waybill.wire.json import scan
from waybill.wire.json.codec import DECODE_ERRORS
from waybill.wire.json.scan import Span
from waybill.wire.otlp.frames import Frame, OtlpBatch, Reader
from waybill.wire.otlp.values import from_json, pairs_from_json, pairs_to_json

_BOM = b"\xef\xbb\xbf"
#: Each name as the specification has it and as protobuf's own JSON readers take it, too.
_RESOURCES = ("resourceLogs", "resource_logs")
_SCOPES = ("scopeLogs", "scope_logs")
_RECORDS = ("logRecords", "log_records")


class _Scope(msgspec.Struct):
    records: list[msgspec.Raw] | None = msgspec.field(name=_RECORDS[0], default=None)


class _Resource(msgspec.Struct):
    scopes: list[_Scope] | None = msgspec.field(name=_SCOPES[0], default=None)


class _Request(msgspec.Struct):
    resources: list[_Resource] | None = msgspec.field(name=_RESOURCES[0], default=None)


_REQUEST = msgspec.json.Decoder(_Request)


class _Attributes(msgspec.Struct):
    attributes: msgspec.Raw = msgspec.Raw()


_ATTRIBUTES = msgspec.json.Decoder(_Attributes)


class OtlpJsonCodec:
    """Decodes and splices OTLP JSON requests for one `FieldPlan`. Holds no state between calls."""

    encoding = "json"
    content_type = "application/json"

    def __init__(self, plan: FieldPlan) -> None:
        self.plan = plan
        self._reader = Reader(plan)
        self._rendered = SuffixCache(lambda verdict: _pairs(plan.values(verdict)))

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
        start = scan.skip_space(body, len(_BOM) if body.startswith(_BOM) else 0)
        if start == len(body):
            return batch
        sizes = _sizes(body)
        try:
            members, inside, end = _walk(
                body, start, _RESOURCES, lambda at: self._decode_resource(batch, at, sizes)
            )
            if scan.skip_space(body, end) < len(body):
                raise ValueError("something follows the request")
        except ValueError as error:
            raise MalformedError("not_otlp", str(error)) from None
        batch.gaps = _gaps(start, inside, end, 0, len(batch.resources))
        if batch.is_hopeless() or (members and members.keys().isdisjoint(_RESOURCES)):
            raise MalformedError("not_otlp", "no log record can be found")
        return batch

    def _decode_resource(self, batch: OtlpBatch, start: int, sizes: Iterator[int]) -> int:
        frame = Frame(len(batch))
        spans: list[tuple[int, int]] = []

        def note_record(at: int) -> int:
            size = next(sizes, 0)
            end = at + size if size else scan.value_end(batch.body, at)
            spans.append((at, end))
            return end

        def decode_scope(at: int) -> int:
            first = frame.first + len(spans)
            members, inside, end = _walk(batch.body, at, _RECORDS, note_record)
            stop = frame.first + len(spans)
            frame.scopes.append(
                Frame(first, stop, _gaps(at, inside, end, first, stop), about=members.get("scope"))
            )
            return end

        members, inside, end = _walk(batch.body, start, _SCOPES, decode_scope)
        frame.gaps = _gaps(start, inside, end, 0, len(frame.scopes))
        frame.about = members.get("resource")
        # Members may come in any order: only now is the resource known to be whole.
        self._reader.resource(self.about(batch, frame).get("attributes", {}), frame)
        for at, stop in spans:
            self._decode_record(batch, frame, at, stop)
        frame.stop = len(batch)
        batch.resources.append(frame)
        return end

    def _decode_record(self, batch: OtlpBatch, resource: Frame, start: int, end: int) -> None:
        record, is_strict = _loads(batch.body[start:end])
        if not isinstance(record, dict):
            fault: RecordReason = "not_an_object" if is_strict else "malformed_record"
            batch.add_odd(start, Odd(end, fault, is_spliced=False, is_strict=is_strict))
            return
        try:
            attributes = dict(pairs_from_json(record.get("attributes"), self._reader.wanted))
            content = from_json(record.get("body"))
        except ValueError:
            batch.add_odd(start, Odd(end, "malformed_record", is_spliced=False, is_strict=False))
            return
        found, reason = self._reader.message(content)
        message = found if found is None or is_strict else found.encode("utf-8", "replace").decode()
        source = self._reader.source(attributes, content, resource)
        taken = self._reader.taken(attributes)
        settings = self.plan.settings
        if settings.label in taken and not settings.relabel:
            batch.add_odd(
                start, Odd(end, "already_labelled", is_spliced=False, is_strict=is_strict)
            )
        elif taken or reason or not is_strict:
            odd = Odd(end, reason, is_strict=is_strict)
            if settings.relabel and taken:
                odd.data = _without(batch.body[start:end], taken)
            else:
                odd.taken = taken
            batch.add_odd(start, odd, message, source)
        else:
            batch.add(start, end, message, source)

    def about(self, batch: OtlpBatch, frame: Frame) -> dict[str, Any]:
        """What a resource or scope says about itself, with its attributes as plain values. Raises ValueError."""
        if frame.about is None:
            return {}
        found, _ = _loads(batch.body[slice(*frame.about)])
        return _plain_members(found or {})

    def record(self, data: bytes) -> dict[str, Any]:
        """The members of a ``LogRecord``, body and attributes as plain values. Raises ValueError."""
        return _plain_members(_loads(data)[0])

    # -- splice ---------------------------------------------------------------------------------

    def splice(self, batch: Batch, verdicts: Sequence[Verdict]) -> bytes:
        """The request with each verdict's attributes added; every other byte as it was."""
        pieces: list[bytes] = []
        at = 0
        for start, end, record in zip(
            batch.starts, batch.ends, self.split(batch, verdicts), strict=True
        ):
            pieces += (batch.body[at:start], record)
            at = end
        pieces.append(batch.body[at:])
        return b"".join(pieces)

    def split(self, batch: Batch, verdicts: Sequence[Verdict]) -> list[bytes]:
        """Each labelled record on its own, as the text of one object."""
        records = []
        ids = RecordIds(batch.tag)
        for i, (start, end, verdict) in enumerate(
            zip(batch.starts, batch.ends, verdicts, strict=True)
        ):
            odd = batch.odd.get(i)
            data = batch.body[start:end] if odd is None or odd.data is None else odd.data
            records.append(
                data
                if odd and not odd.is_spliced
                else _insert(data, self._suffix(batch, i, verdict, ids))
            )
        return records

    def join(self, batch: Batch, records: Sequence[bytes], start: int, stop: int) -> bytes:
        """The request that carries ``records[start:stop]`` (of `split`) in the frames they came in."""
        assert isinstance(batch, OtlpBatch)
        return batch.join(records, start, stop, lambda payload, _: payload, b",")

    def _suffix(self, batch: Batch, i: int, verdict: Verdict, ids: RecordIds) -> bytes:
        """The attributes that are added to record ``i``, as the inside of an array."""
        odd = batch.odd.get(i)
        taken = odd.taken if odd else frozenset()
        data = batch.body[batch.starts[i] : batch.ends[i]]
        if verdict.fields:
            taken = taken.union(self.record(data)["attributes"])
        suffix = (
            _pairs(self.plan.values(verdict, taken))
            if taken or verdict.fields
            else self._rendered[verdict]
        )
        name = self.plan.settings.record_id
        if name and name not in taken:
            suffix += b"," + _pairs([(name, ids.next(data))])
        return suffix


def _sizes(body: bytes) -> Iterator[int]:
    """The sizes of all records in order, from a strict parser, which is fast; none where it takes offence."""
    # It knows one spelling of the names: where the other occurs, it would skip records.
    if any(names[1].encode() in body for names in (_RESOURCES, _SCOPES, _RECORDS)):
        return
    try:
        request = _REQUEST.decode(body)
    except DECODE_ERRORS:
        return
    for resource in request.resources or ():
        for scope in resource.scopes or ():
            yield from [memoryview(record).nbytes for record in scope.records or ()]


def _walk(
    body: bytes, start: int, names: Sequence[str], on_child: Callable[[int], int]
) -> tuple[dict[str, Span], Span | None, int]:
    """Walk the object at ``start``, and call ``on_child`` (offset in, end out) for each item of the array ``names``.

    Gives the spans of all members, the offsets of the array's brackets (None without one) and the object's
    end. Raises ValueError where the text stops being such an object.
    """
    members: dict[str, Span] = {}
    inside: Span | None = None
    at = _expect(body, start, b"{")
    while body[at : at + 1] != b"}":
        key_end = scan.value_end(body, at)
        if body[at : at + 1] != b'"' or key_end < 0:
            raise ValueError("a name is missing")
        name = scan.string_at(body, at, key_end)
        value_at = _expect(body, scan.skip_space(body, key_end), b":")
        if name in names and body[value_at : value_at + 1] == b"[":
            if inside is not None:
                raise ValueError(f"{name} stands twice")
            inside = value_at, _walk_array(body, value_at, on_child)
            end = inside[1] + 1
        else:
            end = scan.value_end(body, value_at)
        if end < 0 or (name in names and inside is None and body[value_at:end] != b"null"):
            raise ValueError(f"{name} cannot be read")
        members[name] = value_at, end
        at = _next(body, end, b"}")
    return members, inside, at + 1


def _walk_array(body: bytes, start: int, on_item: Callable[[int], int]) -> int:
    """Call ``on_item`` for each item of the array at ``start``; gives the offset of its closing bracket."""
    at = _expect(body, start, b"[")
    while body[at : at + 1] != b"]":
        end = on_item(at)
        if end < 0:
            raise ValueError("an item does not end")
        at = _next(body, end, b"]")
    return at


def _expect(body: bytes, at: int, mark: bytes) -> int:
    """The offset of what follows ``mark``, which must stand at ``at``."""
    if body[at : at + 1] != mark:
        raise ValueError(f"expected {mark.decode()}")
    return scan.skip_space(body, at + 1)


def _next(body: bytes, at: int, close: bytes) -> int:
    """The offset of the next item behind a comma, or of the mark ``close``."""
    at = scan.skip_space(body, at)
    return at if body[at : at + 1] == close else _expect(body, at, b",")


def _gaps(
    start: int, inside: Span | None, end: int, first: int, stop: int
) -> list[tuple[int, int, int]]:
    """The gaps of a frame around the items ``first`` to ``stop`` of the array ``inside`` it."""
    if inside is None:
        return [(first, start, end)]
    return [(first, start, inside[0] + 1), (stop, inside[1], end)]


def _loads(text: bytes) -> tuple[Any, bool]:
    """The value in ``text`` (None when there is none), and whether a strict parser takes it."""
    try:
        return orjson.loads(text), True
    except ValueError:
        pass
    try:
        return json.loads(text.decode("utf-8", "replace"), strict=False), False
    except (ValueError, RecursionError):
        return None, False


def _plain_members(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ValueError("not an object")
    plain = {"attributes": dict(pairs_from_json(found.get("attributes")))}
    if "body" in found:
        plain["body"] = from_json(found["body"])
    return found | plain


def _insert(data: bytes, suffix: bytes) -> bytes:
    """The record ``data`` with ``suffix`` at the end of its attributes."""
    span = _attributes(data)
    if span is None:
        comma = b"," if data[1:-1].strip(scan.SPACE) else b""
        return b'%b%b"attributes":[%b]}' % (data[:-1], comma, suffix)
    start, end = span
    if data[start:end] == b"null":
        return b"%b[%b]%b" % (data[:start], suffix, data[end:])
    comma = b"," if data[start + 1 : end - 1].strip(scan.SPACE) else b""
    return b"%b%b%b%b" % (data[: end - 1], comma, suffix, data[end - 1 :])


def _attributes(data: bytes) -> Span | None:
    """Where the value of the record's ``attributes`` is; of twins the last, as parsers have it."""
    if data.count(b'"attributes"') == 1:
        # Where the name occurs once and the value that a parser sees follows it, nothing needs scanning.
        try:
            value = bytes(memoryview(_ATTRIBUTES.decode(data).attributes))
        except DECODE_ERRORS:
            value = b""
        colon = scan.skip_space(data, data.index(b'"attributes"') + 12)
        at = scan.skip_space(data, colon + 1)
        if value and data[colon] == 0x3A and data.startswith(value, at):
            return at, at + len(value)
    spans = [(start, end) for name, _, start, end in scan.members(data, 0) if name == "attributes"]
    return spans[-1] if spans else None


def _without(data: bytes, names: frozenset[str]) -> bytes:
    """The record ``data`` without its attributes ``names``; the other attributes byte for byte."""
    span = _attributes(data)
    assert span is not None  # names were found in them
    start, end = span
    kept: list[bytes] = []

    def keep(at: int) -> int:
        stop = scan.value_end(data, at)
        if _loads(data[at:stop])[0].get("key") not in names:
            kept.append(data[at:stop])
        return stop

    _walk_array(data, start, keep)
    return b"%b[%b]%b" % (data[:start], b",".join(kept), data[end:])


def _pairs(pairs: Sequence[tuple[object, object]]) -> bytes:
    return orjson.dumps(pairs_to_json(pairs))[1:-1]
