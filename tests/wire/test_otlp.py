"""OTLP requests: nothing but our attributes changes, as protobuf's own reader sees it and byte by
byte.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs

from tests import collector
from tests.wire.otlp_rig import (
    BOTH,
    OURS,
    VERDICT,
    WIRE,
    Codec,
    attribute,
    encode,
    labelled,
    one_record,
    text,
)
from waybill.core.prepare import prepare
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, Wire
from waybill.wire.otlp import protobuf
from waybill.wire.otlp.values import pack_value, read_value


def pairs(values: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[KeyValue]:
    names = st.one_of(st.text(max_size=9), st.sampled_from(["log", "source", "service.name", "n"]))
    return st.builds(KeyValue, key=names, value=values)


any_values = st.recursive(
    st.one_of(
        st.builds(AnyValue),
        st.builds(AnyValue, string_value=st.text(max_size=200)),
        st.builds(AnyValue, bool_value=st.booleans()),
        st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1)),
        st.builds(AnyValue, double_value=st.floats(allow_nan=False)),
        st.builds(AnyValue, bytes_value=st.binary(max_size=20)),
    ),
    lambda inner: st.one_of(
        st.builds(
            lambda v: AnyValue(array_value=ArrayValue(values=v)), st.lists(inner, max_size=3)
        ),
        st.builds(
            lambda v: AnyValue(kvlist_value=KeyValueList(values=v)),
            st.lists(pairs(inner), max_size=3),
        ),
    ),
    max_leaves=5,
)


attribute_lists = st.lists(pairs(any_values), max_size=4)
log_records = st.builds(
    LogRecord,
    time_unix_nano=st.integers(0, 2**64 - 1),
    severity_text=st.sampled_from(["", "INFO"]),
    body=st.one_of(st.none(), st.builds(AnyValue, string_value=st.text(max_size=300)), any_values),
    attributes=attribute_lists,
    trace_id=st.sampled_from([b"", bytes(range(16))]),
    flags=st.integers(0, 2**32 - 1),
)


@st.composite
def requests(draw: st.DrawFn) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    for _ in range(draw(st.integers(0, 3))):
        resource = request.resource_logs.add(schema_url=draw(st.sampled_from(["", "https://x/1"])))
        resource.resource.attributes.extend(draw(attribute_lists))
        for _ in range(draw(st.integers(0, 2))):
            scope = resource.scope_logs.add(log_records=draw(st.lists(log_records, max_size=4)))
            scope.scope.name = draw(st.text(max_size=5))
    return request


def parse(codec: Codec, body: bytes) -> ExportLogsServiceRequest:
    if codec is WIRE.otlp:
        return collector.read(body, collector.PROTOBUF)
    return collector.read(body, collector.JSON)


def records_of(request: ExportLogsServiceRequest) -> list[LogRecord]:
    return [
        record
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def take_ours(record: LogRecord) -> dict[str, object]:
    """Remove our attributes, which must be the last ones; gives them."""
    values = {pair.key: pair.value for pair in record.attributes[-len(OURS) :]}
    del record.attributes[-len(OURS) :]
    return {
        key: value.double_value if value.HasField("double_value") else value.string_value
        for key, value in values.items()
    }


@BOTH
@given(request=requests())
def test_a_parser_sees_the_same_request_plus_our_attributes(
    codec: Codec, request: ExportLogsServiceRequest
) -> None:
    after = parse(codec, labelled(codec, encode(codec, request)))
    for record in records_of(after):
        assert take_ours(record) == OURS
    assert after == request


@BOTH
@given(request=requests())
def test_records_put_back_unchanged_give_back_the_input_bytes(
    codec: Codec, request: ExportLogsServiceRequest
) -> None:
    body = encode(codec, request)
    batch = codec.decode(body)
    records = [body[start:end] for start, end in zip(batch.starts, batch.ends, strict=True)]
    joined = codec.join(batch, records, 0, len(batch))
    assert joined == body or (codec is WIRE.otlp_json and json.loads(joined) == json.loads(body))


@BOTH
@given(request=requests(), data=st.data())
def test_parts_hold_every_record_once_with_its_resource_and_scope(
    codec: Codec, request: ExportLogsServiceRequest, data: st.DataObject
) -> None:
    batch = codec.decode(encode(codec, request))
    records = codec.split(batch, [VERDICT] * len(batch))
    seen: list[tuple[Any, str, Any]] = []
    at = 0
    while at < len(batch):
        stop = data.draw(st.integers(at + 1, len(batch)))
        seen += _told(parse(codec, codec.join(batch, records, at, stop)))
        at = stop
    assert seen == _told(parse(codec, codec.splice(batch, [VERDICT] * len(batch))))


def _told(request: ExportLogsServiceRequest) -> list[tuple[Any, str, Any]]:
    return [
        (resource.resource, scope.scope.name, record)
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


@BOTH
@given(request=requests())
def test_messages_and_sources_are_what_a_parser_reads(
    codec: Codec, request: ExportLogsServiceRequest
) -> None:
    batch = codec.decode(encode(codec, request))
    assert len(batch) == len(records_of(request))
    for message, record in zip(batch.messages, records_of(request), strict=True):
        if record.body.HasField("string_value") and prepare(record.body.string_value):
            assert message == record.body.string_value
        elif not record.body.HasField("kvlist_value"):
            assert message is None


@given(any_values)
def test_values_come_through_both_readings(value: AnyValue) -> None:
    data = value.SerializeToString()
    plain = read_value(data, 0, len(data))
    packed = pack_value(plain)
    assert read_value(packed, 0, len(packed)) == plain


def test_unknown_fields_survive_at_every_level() -> None:
    unknown = (
        protobuf.pack_field(500, b"new")
        + protobuf.pack_number(501, -1)
        + b"\xa3\x1f\x08\x01\xa4\x1f"
    )
    record = LogRecord(body=text("a")).SerializeToString() + unknown
    scope = unknown + protobuf.pack_field(2, record) + unknown
    resource = protobuf.pack_field(2, scope) + unknown
    body = unknown + protobuf.pack_field(1, resource) + unknown
    batch = WIRE.otlp.decode(body)
    out = WIRE.otlp.splice(batch, [VERDICT])
    assert batch.messages == ["a"]
    assert out.count(unknown) == 6
    assert (
        ExportLogsServiceRequest.FromString(out)
        .resource_logs[0]
        .scope_logs[0]
        .log_records[0]
        .attributes
    )


@pytest.mark.parametrize(
    ("attributes", "resource", "source"),
    [
        pytest.param(
            {"source": "a"},
            {"source": "b", "service.name": "c"},
            "a",
            id="configured attribute first",
        ),
        pytest.param(
            {"k8s.deployment.name": "a"},
            {"source": "b"},
            "b",
            id="configured resource before conventions",
        ),
        pytest.param(
            {"service.name": "a"}, {"service.name": "b"}, "a", id="conventions: the record first"
        ),
        pytest.param(
            {},
            {"service.name": "b", "k8s.container.name": "c"},
            "b",
            id="conventions: service first",
        ),
        pytest.param({}, {"k8s.container.name": "c"}, "c", id="container"),
        pytest.param({"kubernetes.container_name": "d"}, {}, "d", id="dotted name"),
        pytest.param({}, {"host.name": "h"}, "", id="none"),
    ],
)
@BOTH
def test_a_source_is_found_in_attributes_then_in_the_resource(
    codec: Codec, attributes: dict[str, str], resource: dict[str, str], source: str
) -> None:
    request = ExportLogsServiceRequest()
    frame = request.resource_logs.add()
    frame.resource.attributes.extend(attribute(*pair) for pair in resource.items())
    record = frame.scope_logs.add().log_records.add(body=text("a"))
    record.attributes.extend(attribute(*pair) for pair in attributes.items())
    assert codec.decode(encode(codec, request)).sources == [source]


def test_a_resource_behind_its_records_is_seen() -> None:
    request = ExportLogsServiceRequest()
    frame = request.resource_logs.add()
    frame.scope_logs.add().log_records.add(body=text("a"))
    scopes = frame.SerializeToString()
    tail = ResourceLogs()
    tail.resource.attributes.append(attribute("service.name", "late"))
    body = protobuf.pack_field(1, scopes + tail.SerializeToString())
    assert WIRE.otlp.decode(body).sources == ["late"]
    assert WIRE.otlp_json.decode(
        b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a"}}]}],'
        b'"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"late"}}]}}]}'
    ).sources == ["late"]


@pytest.mark.parametrize(
    ("body", "message", "reason"),
    [
        pytest.param(text("a"), "a", None, id="text"),
        pytest.param(text(""), None, "no_message", id="empty text"),
        pytest.param(text("\ufeff \r\n"), None, "no_message", id="blank text"),
        pytest.param(None, None, "no_message", id="no body"),
        pytest.param(AnyValue(), None, "no_message", id="empty body"),
        pytest.param(AnyValue(int_value=7), None, "message_not_a_string", id="number"),
        pytest.param(AnyValue(bytes_value=b"a"), "a", None, id="bytes of text"),
        pytest.param(AnyValue(bytes_value=b"\xff"), None, "message_not_a_string", id="bytes"),
        pytest.param(
            AnyValue(array_value=ArrayValue(values=[text("a")])),
            None,
            "message_not_a_string",
            id="array",
        ),
        pytest.param(
            AnyValue(
                kvlist_value=KeyValueList(values=[attribute("msg", "b"), attribute("log", "a")])
            ),
            "a",
            None,
            id="map",
        ),
        pytest.param(
            AnyValue(kvlist_value=KeyValueList(values=[attribute("x", "a")])),
            None,
            "no_message",
            id="map without one",
        ),
    ],
)
@BOTH
def test_a_message_is_read_from_each_kind_of_body(
    codec: Codec, body: AnyValue | None, message: str | None, reason: str | None
) -> None:
    data = one_record(body=body)
    batch = codec.decode(encode(codec, ExportLogsServiceRequest.FromString(data)))
    assert batch.messages == [message]
    assert [special.reason for special in batch.specials.values()] == ([reason] if reason else [])
    assert take_ours(records_of(parse(codec, codec.splice(batch, [VERDICT])))[0]) == OURS


@BOTH
def test_a_record_that_brings_a_label_passes_untouched(codec: Codec) -> None:
    request = ExportLogsServiceRequest.FromString(
        one_record(
            body=text("a"), attributes=[attribute("target_label", "Mine"), attribute("x", "y")]
        )
    )
    body = encode(codec, request)
    batch = codec.decode(body)
    assert batch.specials[0].reason == "already_labelled"
    assert codec.splice(batch, [VERDICT]) == body


@pytest.mark.parametrize("form", ["protobuf", "json"])
def test_relabel_replaces_what_a_record_brings(form: str) -> None:
    wire = Wire(FieldPlan(FieldSettings(relabel=True)))
    codec: Codec = wire.otlp if form == "protobuf" else wire.otlp_json
    plain: Codec = WIRE.otlp if form == "protobuf" else WIRE.otlp_json
    before = [attribute("target_label", "Mine"), attribute("x", "y"), attribute("label_tier", "z")]
    body = encode(
        plain, ExportLogsServiceRequest.FromString(one_record(body=text("a"), attributes=before))
    )
    (record,) = records_of(parse(plain, labelled(codec, body)))
    assert take_ours(record) == OURS
    assert list(record.attributes) == [attribute("x", "y")]


@BOTH
def test_names_that_a_record_uses_for_itself_stay_the_records(codec: Codec) -> None:
    request = ExportLogsServiceRequest.FromString(
        one_record(body=text("a"), attributes=[attribute("label_tier", "mine")])
    )
    (record,) = records_of(parse(codec, labelled(codec, encode(codec, request))))
    assert [pair.key for pair in record.attributes] == [
        "label_tier",
        "target_label",
        "label_confidence",
        "label_rule",
    ]


@BOTH
def test_fields_of_rules_and_the_record_id_become_attributes(codec: Codec) -> None:
    wire = Wire(FieldPlan(FieldSettings(record_id="id")))
    own: Codec = wire.otlp if codec is WIRE.otlp else wire.otlp_json
    request = ExportLogsServiceRequest.FromString(
        one_record(body=text("a"), attributes=[attribute("team", "mine")])
    )
    batch = own.decode(encode(codec, request))
    fields = {"severity": "Low", "team": "theirs", "n": 3, "list": [True, {"a": 1.5}]}
    (record,) = records_of(
        parse(codec, own.splice(batch, [Verdict("Error", "rule", 1.0, "r", None, fields)]))
    )
    found = {pair.key: pair.value for pair in record.attributes}
    assert (found["severity"].string_value, found["team"].string_value, found["n"].int_value) == (
        "Low",
        "mine",
        3,
    )
    assert found["list"].array_value.values[1].kvlist_value.values[0].value.double_value == 1.5
    assert len(found["id"].string_value) == 32
