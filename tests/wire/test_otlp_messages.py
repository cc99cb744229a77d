"""OTLP from protobuf to JSON and back: as protobuf's own JSON mapping has it, frames included."""

from __future__ import annotations

import json
import struct

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import Encoding, FieldPlan, Wire
from waybill.wire.convert.to_otlp import OtlpForm
from waybill.wire.otlp.messages import LOG_RECORD, to_members, to_protobuf
from waybill.wire.rendered import Rendered, render

WIRE = Wire(FieldPlan(FieldSettings()))
VERDICT = Verdict("Error", "rule", 1.0, "r")
PROTOBUF, JSON = "application/x-protobuf", "application/otlp+json"

texts = st.text(max_size=20)
any_values = st.recursive(
    st.one_of(
        st.builds(AnyValue),
        st.builds(lambda value: AnyValue(string_value=value), texts),
        st.builds(lambda value: AnyValue(bool_value=value), st.booleans()),
        st.builds(lambda value: AnyValue(int_value=value), st.integers(-(2**63), 2**63 - 1)),
        st.builds(lambda value: AnyValue(double_value=value), st.floats(allow_nan=False)),
        st.builds(lambda value: AnyValue(bytes_value=value), st.binary(max_size=20)),
    ),
    lambda inner: st.one_of(
        st.builds(lambda items: _array(items), st.lists(inner, max_size=3)),
        st.builds(lambda items: _map(items), st.lists(st.tuples(texts, inner), max_size=3)),
    ),
    max_leaves=6,
)


def _array(items: list[AnyValue]) -> AnyValue:
    value = AnyValue()
    value.array_value.SetInParent()
    value.array_value.values.extend(items)
    return value


def _map(items: list[tuple[str, AnyValue]]) -> AnyValue:
    value = AnyValue()
    value.kvlist_value.SetInParent()
    for key, item in items:
        value.kvlist_value.values.add(key=key).value.CopyFrom(item)
    return value


@st.composite
def log_records(draw: st.DrawFn) -> LogRecord:
    """A record with any of its fields."""
    uint32 = st.integers(0, 2**32 - 1)
    uint64 = st.integers(0, 2**64 - 1)
    record = LogRecord(
        time_unix_nano=draw(uint64),
        observed_time_unix_nano=draw(uint64),
        severity_number=draw(st.integers(0, 24)),  # type: ignore[arg-type]
        severity_text=draw(texts),
        dropped_attributes_count=draw(uint32),
        flags=draw(uint32),
        trace_id=draw(st.binary(min_size=16, max_size=16)),
        span_id=draw(st.binary(min_size=8, max_size=8)),
        event_name=draw(texts),
    )
    if draw(st.booleans()):
        record.body.CopyFrom(draw(any_values))
    for key, value in draw(st.lists(st.tuples(texts, any_values), max_size=3)):
        record.attributes.add(key=key).value.CopyFrom(value)
    return record


@given(log_records())
def test_a_record_comes_through_json_as_it_was(record: LogRecord) -> None:
    members = json.loads(json.dumps(to_members(record.SerializeToString(), LOG_RECORD)))
    assert LogRecord.FromString(to_protobuf(members, LOG_RECORD)) == record
    if record.trace_id:
        assert members["traceId"] == record.trace_id.hex()


@given(log_records())
def test_what_protobufs_own_writer_says_is_read(record: LogRecord) -> None:
    """Names of severities, base64 for ids, and both spellings of names."""
    for keeps_names in (False, True):
        text = json_format.MessageToJson(record, preserving_proto_field_name=keeps_names)
        found = to_protobuf(json.loads(text), LOG_RECORD)
        read = LogRecord.FromString(found)
        for name in ("trace_id", "span_id"):  # 32 or 16 hexadecimal digits may also be base64
            if getattr(read, name) != getattr(record, name):
                setattr(read, name, getattr(record, name))
        assert read == record


@given(log_records())
def test_our_json_is_read_by_protobufs_own_reader(record: LogRecord) -> None:
    members = to_members(record.SerializeToString(), LOG_RECORD)
    for name in ("traceId", "spanId"):  # OTLP's JSON has them in hexadecimal, protobuf's not
        members.pop(name, None)
    read = json_format.ParseDict(members, LogRecord())
    record.ClearField("trace_id")
    record.ClearField("span_id")
    assert read == record


@pytest.mark.parametrize(
    "members",
    [
        5,
        {"timeUnixNano": "soon"},
        {"timeUnixNano": -1},
        {"timeUnixNano": 2**64},
        {"flags": 1.5},
        {"flags": True},
        {"flags": float("inf")},
        {"flags": float("nan")},
        {"severityNumber": "LOUD"},
        {"severityText": 5},
        {"traceId": "no id"},
        {"body": "text"},
        {"body": {"boolValue": 1}},
        {"body": {"doubleValue": "much"}},
        {"body": {"doubleValue": 10**400}},
        {"body": {"intValue": None, "bytesValue": "*"}},
        {"attributes": {"key": "a"}},
        {"attributes": [None]},
    ],
)
def test_what_is_no_record_is_refused(members: object) -> None:
    with pytest.raises(ValueError, match=r"not |invalid literal|could not convert|is not a list"):
        to_protobuf(members, LOG_RECORD)


def test_values_that_are_nested_too_deep_are_refused() -> None:
    value: dict[str, object] = {"stringValue": "x"}
    for _ in range(50):
        value = {"arrayValue": {"values": [value]}}
    with pytest.raises(ValueError, match="too deep"):
        to_protobuf({"body": value}, LOG_RECORD)


def request() -> ExportLogsServiceRequest:
    """Two resources, three scopes, four records, and every field of the frames."""
    made = ExportLogsServiceRequest()
    for name in ("shop", "cart"):
        resource = made.resource_logs.add(schema_url=f"https://{name}/1")
        resource.resource.dropped_attributes_count = 2
        pair = resource.resource.attributes.add(key="service.name")
        pair.value.string_value = name
        for number in range(2 if name == "shop" else 1):
            scope = resource.scope_logs.add(schema_url=f"https://scope/{number}")
            scope.scope.name = f"scope {number}"
            scope.scope.version = "1.2"
            scope.scope.attributes.add(key="a").value.double_value = 0.5
            scope.scope.dropped_attributes_count = 3
            for line in range(2 if number == 0 and name == "shop" else 1):
                record = scope.log_records.add(time_unix_nano=1_700_000_000_123_456_789)
                record.body.string_value = f"{name} {number} {line}"
                record.trace_id = bytes(range(16))
    return made


def in_json(given: ExportLogsServiceRequest) -> bytes:
    """``given`` as OTLP's JSON: as protobuf's, but for ids."""
    text: str = json_format.MessageToJson(given)
    return text.replace("AAECAwQFBgcICQoLDA0ODw==", bytes(range(16)).hex()).encode()


def rendered(body: bytes, content_type: str, encoding: Encoding | None) -> Rendered:
    codec, batch = WIRE.decode(body, content_type)
    return render(codec, batch, [VERDICT] * len(batch), OtlpForm(encoding), lambda: 5.0)


def read(found: Rendered, start: int, stop: int) -> ExportLogsServiceRequest:
    body = found.encode(start, stop)
    parsed = ExportLogsServiceRequest()
    if found.content_type == PROTOBUF:
        parsed.ParseFromString(body)
        return parsed
    text = body.replace(bytes(range(16)).hex().encode(), b"AAECAwQFBgcICQoLDA0ODw==")
    json_format.Parse(text, parsed)
    return parsed


@pytest.mark.parametrize("start", range(4))
@pytest.mark.parametrize("stop", range(1, 5))
def test_both_encodings_say_the_same_of_every_run(start: int, stop: int) -> None:
    if start >= stop:
        return
    bodies = ((request().SerializeToString(), PROTOBUF), (in_json(request()), JSON))
    found = [
        read(rendered(body, content_type, encoding), start, stop)
        for body, content_type in bodies
        for encoding in (None, Encoding.OTLP, Encoding.OTLP_JSON)
    ]
    assert all(one == found[0] for one in found)
    assert found[0].ByteSize() > 0


@pytest.mark.parametrize("wanted", [Encoding.OTLP, Encoding.OTLP_JSON])
def test_what_keeps_its_encoding_keeps_its_bytes(wanted: Encoding) -> None:
    body, content_type = request().SerializeToString(), PROTOBUF
    if wanted is Encoding.OTLP_JSON:
        body, content_type = in_json(request()), JSON
    as_received = rendered(body, content_type, None)
    assert rendered(body, content_type, wanted).encode(0, 4) == as_received.encode(0, 4)


def test_a_record_and_a_frame_that_cannot_be_said_cost_no_other() -> None:
    """A time that is none, a resource that is none: the record goes as text with its label."""
    body = (
        b'{"resourceLogs":[{"resource":{"attributes":[],"droppedAttributesCount":-1},"scopeLogs":'
        b'[{"logRecords":[{"body":{"stringValue":"a"}},'
        b'{"timeUnixNano":"soon","body":{"stringValue":"b"}},'
        b'{"body":{"stringValue":"c"}}]}]}]}'
    )
    found = read(rendered(body, JSON, Encoding.OTLP), 0, 3)
    (scope,) = found.resource_logs[0].scope_logs
    first, text, last = scope.log_records
    assert (first.body.string_value, last.body.string_value) == ("a", "c")
    assert text.body.string_value == '{"timeUnixNano":"soon","body":{"stringValue":"b"}}'
    for record in scope.log_records:
        assert "target_label" in {pair.key for pair in record.attributes}


def test_text_that_is_no_utf8_and_numbers_that_json_lacks() -> None:
    record = LogRecord(severity_text="x")
    record.body.double_value = float("inf")
    data = record.SerializeToString().replace(b"\x1a\x01x", b"\x1a\x01\xff")
    members = to_members(data, LOG_RECORD)
    assert members == {"severityText": "\\xff", "body": {"doubleValue": "Infinity"}}
    back = LogRecord.FromString(to_protobuf(members, LOG_RECORD))
    assert struct.pack("<d", back.body.double_value) == struct.pack("<d", float("inf"))
