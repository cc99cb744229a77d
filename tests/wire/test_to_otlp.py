"""Fluent and JSON records as OTLP: whatever they hold, the request is one that protobuf's own
reader takes.
"""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.wire.strategies import bodies, event_times, packed_records, packed_values
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, Wire
from waybill.wire.convert.to_otlp import to_request
from waybill.wire.rendered import Context

WIRE = Wire(FieldPlan(FieldSettings()))
VERDICT = Verdict("Error", "rule", 1.0, "r")


def convert(body: bytes, content_type: str) -> list[LogRecord]:
    codec, batch = WIRE.decode(body, content_type, "kube.pod")
    assert codec is WIRE.json or codec is WIRE.msgpack
    events = codec.events(batch, [VERDICT] * len(batch))
    request, verdicts = to_request(events, Context(codec.plan, batch.tag, lambda: 1.5))
    resources = ExportLogsServiceRequest.FromString(request).resource_logs
    records = [
        record
        for resource in resources
        for scope in resource.scope_logs
        for record in scope.log_records
    ]
    assert len(records) == len(verdicts) == len(batch)
    # What the way back relies on: our own reader finds the same records.
    assert len(WIRE.otlp.decode(request)) == len(batch)
    return records


@given(bodies())
def test_every_json_record_becomes_one_labelled_log_record(body: bytes) -> None:
    for record in convert(body, "application/json"):
        names = [pair.key for pair in record.attributes]
        assert "target_label" in names
        assert names[-1] == "fluent.tag"
        assert record.observed_time_unix_nano == 1_500_000_000


@given(st.lists(st.tuples(event_times, packed_values, packed_records), max_size=3))
def test_every_event_becomes_one_labelled_log_record(
    events: list[tuple[bytes, object, dict[object, object]]],
) -> None:
    body = b"".join(
        b"\x92\x92" + time + msgpack.packb(metadata) + msgpack.packb(record)
        for time, metadata, record in events
    )
    for record, (time, _, sent) in zip(convert(body, "application/msgpack"), events, strict=True):
        assert "target_label" in {pair.key for pair in record.attributes}
        nanos = int.from_bytes(time[2:6], "big") * 10**9 + int.from_bytes(time[6:], "big")
        assert record.time_unix_nano == nanos
        if isinstance(sent.get("log"), str):
            assert record.body.string_value == sent["log"]


def test_text_that_is_no_utf8_is_written_as_escapes() -> None:
    entry = (
        msgpack.packb([1, {"log": "x", "k": "z"}])
        .replace(b"\xa1x", b"\xa1\xff")
        .replace(b"\xa1z", b"\xa1\xfe")
    )
    (record,) = convert(entry, "application/msgpack")
    assert record.body.string_value == "\\xff"
    assert {pair.key: pair.value.string_value for pair in record.attributes}["k"] == "\\xfe"


@pytest.mark.parametrize("time", [float("inf"), float("nan"), -1, 2**64 - 1, "noon"])
def test_a_time_that_is_none_is_left_out(time: object) -> None:
    (record,) = convert(msgpack.packb([time, {"log": "a"}]), "application/msgpack")
    assert (record.time_unix_nano, record.body.string_value) == (0, "a")
