"""Records as JSON objects that a strict parser takes: one array, or one object per line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson

from waybill.core.batch import Batch
from waybill.core.records import Verdict
from waybill.wire.codec import Codec, Encoding
from waybill.wire.event import Event, Record, wrapped
from waybill.wire.fields import FieldPlan
from waybill.wire.json.tolerant import read_object
from waybill.wire.moments import Moment
from waybill.wire.rendered import Context, Rendered


class JsonForm:
    """One array per body or, with ``lines``, one object per line."""

    native = frozenset((Encoding.JSON,))
    family = native

    def __init__(self, *, lines: bool) -> None:
        self._lines = lines

    def keep(
        self, codec: Codec, batch: Batch, verdicts: Sequence[Verdict], at: Context
    ) -> Rendered:
        """JSON records, spliced; a value that strict parsers refuse goes as text."""
        records = codec.split(batch, verdicts)
        for i in codec.unfit(batch):
            records[i] = _mended(batch, i, records[i], verdicts[i], at.plan)
        return self._rendered(records, verdicts, at.plan)

    def convert(self, events: Iterable[Event], at: Context) -> Rendered:
        """Each event as an object, its time in the first time field."""
        records: list[bytes] = []
        verdicts: list[Verdict] = []
        for event in events:
            records.append(at.counted(json_record(event, at.plan)))
            verdicts.append(event.verdict)
        return self._rendered(records, verdicts, at.plan)

    def _rendered(
        self, records: list[bytes], verdicts: Sequence[Verdict], plan: FieldPlan
    ) -> Rendered:
        content_type = "application/json"
        body = _array
        if self._lines:
            content_type = "application/x-ndjson"
            body = _lines
            records = [_on_one_line(record) for record in records]
        return Rendered(
            content_type,
            [len(record) + 1 for record in records],
            lambda start, stop: body(records[start:stop]),
            lambda i: body([_text_record(records[i], plan, verdicts[i])]),
        )


def json_record(event: Event, plan: FieldPlan) -> bytes:
    """``event`` as the text of one JSON object."""
    if event.record is not None:
        try:
            return _with_time(event.record, event.moment, plan)
        except orjson.JSONEncodeError:  # nested deeper than the encoder goes
            pass
    record = wrapped(event.original, plan, event.verdict)
    return _with_time(record, event.moment, plan)


def _with_time(record: Record, moment: Moment | None, plan: FieldPlan) -> bytes:
    """``record`` with ``moment`` in the first time field, unless it has one there itself."""
    text = orjson.dumps(record)
    if moment is None or not plan.time:
        return text
    name = plan.time[0][0]
    if name in record:
        return text
    member = b'{"%b":%d.%09d' % (name.encode(), *moment)
    comma = b"," if record else b""
    return b"".join((member, comma, memoryview(text)[1:]))


def _text_record(data: bytes, plan: FieldPlan, verdict: Verdict) -> bytes:
    return orjson.dumps(wrapped(data, plan, verdict))


def _mended(batch: Batch, i: int, data: bytes, verdict: Verdict, plan: FieldPlan) -> bytes:
    """Record ``i``, ``data`` when spliced, with its odd values as text; else all of it as text."""
    record = None if batch.is_set_aside(i) else read_object(data)
    if record is not None:
        try:
            return orjson.dumps(record)
        except orjson.JSONEncodeError:  # nested deeper than the encoder goes
            pass
    return _text_record(batch.data(i), plan, verdict)


def _on_one_line(record: bytes) -> bytes:
    # White space between tokens may hold line ends, strings may not: this changes no value.
    if b"\n" in record or b"\r" in record:
        return record.replace(b"\n", b" ").replace(b"\r", b" ")
    return record


def _array(records: Sequence[bytes]) -> bytes:
    return b"".join((b"[", b",".join(records), b"]"))  # where one is large, others have a turn


def _lines(records: Sequence[bytes]) -> bytes:
    return b"\n".join((*records, b""))
