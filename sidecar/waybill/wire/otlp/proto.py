"""OTLP logs in protobuf: an ``ExportLogsServiceRequest``.

``decode`` walks the frames down to each ``LogRecord`` and reads only body and the attributes that
may name the source; ``splice`` appends our attributes to each record and writes the lengths of what
encloses it anew. Every other byte, fields unknown to us included, stays as it was.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence

from waybill.core.batch import UNBOUNDED, Batch, Passed, ScanBudget
from waybill.core.errors import MalformedError
from waybill.core.records import Verdict
from waybill.wire.allowance import MOST_RECORD_BYTES
from waybill.wire.codec import Encoding
from waybill.wire.event import Event, Record, members_of
from waybill.wire.fields import FieldPlan
from waybill.wire.otlp import protobuf
from waybill.wire.otlp.flat import flat_events
from waybill.wire.otlp.frames import Frame, OtlpBatch
from waybill.wire.otlp.proto_reader import ATTRIBUTES, BODY, RESOURCE_ATTRIBUTES, ProtoReader
from waybill.wire.otlp.protobuf import LENGTH, varint
from waybill.wire.otlp.values import name_of, pack_pairs, read_pairs, read_value
from waybill.wire.policy import Additions, Pairs

_SCOPE_ATTRIBUTES = 3
#: Names of the members that are told to receivers without OTLP.
_ABOUT_RESOURCE: dict[int, str] = {}
_ABOUT_SCOPE = {1: "name", 2: "version"}
_MEMBERS = {
    1: "time_unix_nano", 2: "severity_number", 3: "severity_text", BODY: "body", 8: "flags",
    9: "trace_id", 10: "span_id", 11: "observed_time_unix_nano", 12: "event_name",
}  # fmt: skip


class OtlpCodec:
    """Decodes and splices OTLP protobuf requests for one `FieldPlan`; no state between calls."""

    encoding = Encoding.OTLP
    content_type = "application/x-protobuf"

    def __init__(self, plan: FieldPlan) -> None:
        self.plan = plan
        self._reader = ProtoReader(plan)
        self._additions = Additions(plan.policy, _pack, operator.add, _names_in)

    def decode(self, body: bytes, *, tag: str = "", budget: ScanBudget = UNBOUNDED) -> OtlpBatch:
        """The records of ``body``.

        Raises:
            MalformedError: ``not_otlp`` when the frames cannot be read, are not OTLP's, or hold
                only broken records.
            SlowToReadError: the body is bigger than ``budget``.
        """
        batch = OtlpBatch(body, tag, budget)
        budget.take(len(body))
        try:
            self._reader.read_request(batch)
        except ValueError as error:
            raise MalformedError("not_otlp", str(error)) from None
        if batch.is_all_malformed() or (body and not batch.resources):
            raise MalformedError("not_otlp", "no log record can be found")
        return batch

    def splice(self, batch: Batch, verdicts: Sequence[Verdict]) -> bytes:
        """The request with each verdict's attributes added; all but lengths stays as it was."""
        return self.join(batch, self.split(batch, verdicts), 0, len(batch))

    def split(self, batch: Batch, verdicts: Sequence[Verdict]) -> list[bytes]:
        """Each labelled ``LogRecord`` on its own, without tag and length."""
        records = []
        for i, suffix in enumerate(self._additions.of(batch, verdicts)):
            if isinstance(batch.specials.get(i), Passed):
                records.append(batch.data(i))
            else:
                records.append(batch.kept(i) + suffix)
        return records

    def join(self, batch: Batch, records: Sequence[bytes], start: int, stop: int) -> bytes:
        """The request that carries ``records[start:stop]`` (of `split`) in their frames."""
        assert isinstance(batch, OtlpBatch)
        return batch.join(records, start, stop, _child, b"")

    def sizes(self, batch: Batch, records: Sequence[bytes]) -> list[int]:
        """What each of ``records`` (of `split`) adds to a request, in bytes."""
        assert isinstance(batch, OtlpBatch)
        return batch.sizes(records)

    def unfit(self, _batch: Batch) -> Iterator[int]:
        """None: frames hold whatever came in them."""
        return iter(())

    def events(self, batch: Batch, verdicts: Sequence[Verdict]) -> Iterator[Event]:
        """Each labelled record in plain values, with what its resource and scope say."""
        assert isinstance(batch, OtlpBatch)
        return flat_events(self, batch, verdicts)

    def about(self, batch: OtlpBatch, frame: Frame) -> Record:
        """What a resource or scope says about itself, in plain values. Raises ValueError."""
        if frame.about is None:
            return {}
        names = _ABOUT_SCOPE
        number = _SCOPE_ATTRIBUTES
        if frame.scopes:
            names = _ABOUT_RESOURCE
            number = RESOURCE_ATTRIBUTES
        found = _members(batch.body, *frame.about, names)
        found["attributes"] = members_of(read_pairs(batch.body, *frame.about, number))
        return found

    def record(self, data: bytes) -> Record:
        """The members of a ``LogRecord`` in plain values. Raises ValueError."""
        if len(data) > MOST_RECORD_BYTES:
            raise ValueError("too large")
        found = _members(data, 0, len(data), _MEMBERS)
        found["attributes"] = members_of(read_pairs(data, 0, len(data), ATTRIBUTES))
        return found


def _child(payload: bytes, number: int) -> bytes:
    return b"%c%b%b" % (number << 3 | LENGTH, protobuf.pack_varint(len(payload)), payload)


def _pack(pairs: Pairs) -> bytes:
    return pack_pairs(pairs, ATTRIBUTES)


def _names_in(data: bytes) -> Iterator[str]:
    for number, kind, _, at, stop in protobuf.fields(data, 0, len(data)):
        if (number, kind) == (ATTRIBUTES, LENGTH):
            name = name_of(data, at, stop)
            if name is not None:
                yield name


def _members(data: bytes, start: int, end: int, names: Mapping[int, str]) -> Record:
    """The members ``names`` of the message in ``data[start:end]`` as plain values."""
    found: Record = {}
    for number, kind, _, at, stop in protobuf.fields(data, start, end):
        name = names.get(number)
        if name is not None:
            found[name] = _member(data, name, kind, at, stop)
    return found


def _member(data: bytes, name: str, kind: int, at: int, stop: int) -> object:
    if name == "body":
        return read_value(data, at, stop)
    if kind == LENGTH and name.endswith("_id"):
        return data[at:stop].hex()
    if kind == LENGTH:
        return data[at:stop].decode("utf-8", "replace")
    if kind == protobuf.VARINT:
        return varint(data, at, stop)[0]
    return int.from_bytes(data[at:stop], "little")
