"""OTLP logs in JSON: the same request, spliced as text.

Our attributes go before the closing bracket of each record's ``attributes``; spacing, key order,
number spellings and fields unknown to us stay as they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import orjson

from waybill.core.batch import UNBOUNDED, Batch, Passed, ScanBudget
from waybill.core.errors import MalformedError
from waybill.core.records import Verdict
from waybill.wire.codec import Encoding
from waybill.wire.event import Event, Record
from waybill.wire.fields import FieldPlan
from waybill.wire.json import scan
from waybill.wire.otlp.flat import flat_events
from waybill.wire.otlp.frames import Frame, OtlpBatch
from waybill.wire.otlp.json_reader import (
    OtlpJsonReader,
    about_frame,
    plain_members,
    stranger_in,
)
from waybill.wire.otlp.json_text import loads, with_attributes
from waybill.wire.otlp.json_values import pairs_to_json
from waybill.wire.policy import Additions, Pairs

_BOM = b"\xef\xbb\xbf"


_NO_RECORDS = (
    'no log record can be read: expected such as {"body": {"stringValue": "..."}, '
    '"attributes": [{"key": "a", "value": {"stringValue": "b"}}]}'
)
#: Of a name that is not OTLP's so much is told.
_NAME_CHARS = 60


class OtlpJsonCodec:
    """Decodes and splices OTLP JSON requests for one `FieldPlan`. Holds no state between calls."""

    encoding = Encoding.OTLP_JSON
    content_type = "application/json"

    def __init__(self, plan: FieldPlan) -> None:
        self.plan = plan
        self._reader = OtlpJsonReader(plan)
        self._additions = Additions(plan.policy, _pack, _join, _names_in)

    def decode(self, body: bytes, *, tag: str = "", budget: ScanBudget = UNBOUNDED) -> OtlpBatch:
        """The records of ``body``.

        Raises:
            MalformedError: ``not_otlp`` when the frames cannot be read, are not OTLP's, or hold
                only broken records.
            SlowToReadError: the body is bigger than ``budget``.
        """
        batch = OtlpBatch(body, tag, budget)
        budget.take(len(body))
        start = scan.skip_space(body, len(_BOM) if body.startswith(_BOM) else 0)
        if start == len(body):
            return batch
        if body[start : start + 1] != b"{":
            told = 'expected one object {"resourceLogs": [...]}; other JSON goes to /v1/label'
            raise MalformedError("not_otlp", told)
        try:
            is_ours = self._reader.read_request(batch, start)
        except ValueError as error:
            raise MalformedError("not_otlp", str(error)) from None
        if not is_ours:
            raise MalformedError("not_otlp", "no log record can be found; expected resourceLogs")
        if batch.is_all_malformed():
            raise MalformedError("not_otlp", _NO_RECORDS)
        if not len(batch):
            _refuse_strangers(body[start:])
        return batch

    def splice(self, batch: Batch, verdicts: Sequence[Verdict]) -> bytes:
        """The request with each verdict's attributes added; every other byte as it was."""
        pieces: list[bytes] = []
        at = 0
        records = self.split(batch, verdicts)
        for start, end, record in zip(batch.starts, batch.ends, records, strict=True):
            pieces.append(batch.body[at:start])
            pieces.append(record)
            at = end
        pieces.append(batch.body[at:])
        return b"".join(pieces)

    def split(self, batch: Batch, verdicts: Sequence[Verdict]) -> list[bytes]:
        """Each labelled record on its own, as the text of one object."""
        records = []
        for i, addition in enumerate(self._additions.of(batch, verdicts)):
            if isinstance(batch.specials.get(i), Passed):
                records.append(batch.data(i))
            else:
                records.append(with_attributes(batch.kept(i), addition))
        return records

    def join(self, batch: Batch, records: Sequence[bytes], start: int, stop: int) -> bytes:
        """The request that carries ``records[start:stop]`` (of `split`) in their frames."""
        assert isinstance(batch, OtlpBatch)
        return batch.join(records, start, stop, _child, b",")

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
        return about_frame(batch.body, frame)

    def record(self, data: bytes) -> Record:
        """The members of a log record, body and attributes in plain values. Raises ValueError."""
        return plain_members(loads(data)[0])


def _refuse_strangers(request: bytes) -> None:
    """Raise MalformedError where a request without records has a name that is not OTLP's."""
    name = stranger_in(request)
    if name:
        told = f"{name[:_NAME_CHARS]!r} is not OTLP's: expected resourceLogs, scopeLogs, logRecords"
        raise MalformedError("not_otlp", told)


def _child(payload: bytes, _number: int) -> bytes:
    return payload


def _join(first: bytes, second: bytes) -> bytes:
    return first + b"," + second


def _pack(pairs: Pairs) -> bytes:
    return orjson.dumps(pairs_to_json(pairs))[1:-1]


def _names_in(data: bytes) -> Iterator[str]:
    record, _ = loads(data)
    attributes = record.get("attributes") if isinstance(record, dict) else None
    for pair in attributes or ():
        if isinstance(pair, dict) and isinstance(pair.get("key"), str):
            yield pair["key"]
