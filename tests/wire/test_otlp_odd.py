"""OTLP that is broken, damaged, or meant for receivers without it."""

from __future__ import annotations

import base64
import json
import random
import struct
from collections.abc import Sequence

import msgpack
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

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
from tests.wire.rendering import json_records, msgpack_entries
from waybill.core.batch import Batch, Passed
from waybill.core.errors import MalformedError
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, Wire
from waybill.wire.otlp import protobuf

BROKEN = [
    pytest.param(b"\x2a\x05ab", id="cut body"),
    pytest.param(b"\x0f", id="no such wire type"),
    pytest.param(b"\x02\x00", id="field number 0"),
    pytest.param(b"\x80" * 11, id="endless number"),
    pytest.param(b"\x0b\x08\x01", id="open group"),
    pytest.param(b"\x0b" * 5000, id="5,000 groups"),
    pytest.param(b"\x09\x01", id="cut number"),
    pytest.param(b"\x2a\x03\x0a\x05a", id="broken body"),
    pytest.param(b"\x32\x03\x12\x05a", id="broken attribute"),
]


@pytest.mark.parametrize("record", BROKEN)
def test_a_broken_record_in_a_good_frame_passes_as_it_is(record: bytes) -> None:
    good = LogRecord(body=text("a")).SerializeToString()
    scope = b"".join(protobuf.pack_field(2, data) for data in (good, record, good))
    batch = WIRE.otlp.decode(protobuf.pack_field(1, protobuf.pack_field(2, scope)))
    assert batch.messages == ["a", None, "a"]
    assert batch.specials[1].reason == "malformed_record"
    records = WIRE.otlp.split(batch, [VERDICT] * 3)
    assert records[1] == record
    assert records[0] == records[2] != good


@pytest.mark.parametrize(
    ("scopes", "records"),
    [("scopeLogs", "logRecords"), ("instrumentationLibraryLogs", "logs"),
     ("instrumentation_library_logs", "log_records"), ("scope_logs", "logs")],
)  # fmt: skip
def test_exporters_of_before_2022_are_read(scopes: str, records: str) -> None:
    asked = {"resourceLogs": [{scopes: [{records: [{"body": {"stringValue": "a"}}] * 2}]}]}
    body = json.dumps({**asked, "note": "logs"}).encode()
    batch = WIRE.otlp_json.decode(body)
    assert batch.messages == ["a", "a"]
    assert WIRE.otlp_json.splice(batch, [VERDICT] * 2).count(b"target_label") == 2


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"resourceLogs":[{"scopesLogs":[{"logRecords":[{}]}]}]}', "'scopesLogs' is not OTLP's"),
        (b'{"resourceLogs":[{"scopeLogs":[{"records":[{}]}]}]}', "'records' is not OTLP's"),
        (b'{"resourceSpans":[{}]}', "expected resourceLogs"),
        (b'[{"log":"a"}]', "other JSON goes to /v1/label"),
        (b"\x0a\x00", "other JSON goes to /v1/label"),
        (b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":"a"}]}]}]}', '{"stringValue"'),
    ],
)
def test_what_holds_no_record_is_not_taken_for_an_empty_request(body: bytes, told: str) -> None:
    with pytest.raises(MalformedError, match="not_otlp") as caught:
        WIRE.otlp_json.decode(body)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"resourceLogs":[]}', b'{"resourceLogs":null}', b'{"resourceLogs":[{}]}',
     b'{"resourceLogs":[{"resource":{"x":1},"scopeLogs":[{"scope":{},"schemaUrl":""}]}]}',
     b'{"resourceLogs":[],"resourceLogs":"x"}', b'{"resourceLogs":[],"resourceLogs":null}',
     b'{"resourceLogs":[{"scopeLogs":[],"scopeLogs":"x"}]}',
     b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[],"logRecords":{}}]}]}',
     b'{"resourceLogs":[],"resource_logs":7,"a":NaN}',
    ],
)  # fmt: skip
def test_an_empty_request_is_one(body: bytes) -> None:
    assert len(WIRE.otlp_json.decode(body)) == 0


def test_too_much_of_other_things_is_no_empty_request() -> None:
    body = b'{"resourceLogs":[{"x":[' + b"0," * 3_000_000 + b"0]}]}"
    with pytest.raises(MalformedError, match="not_otlp"):
        WIRE.otlp_json.decode(body)


@pytest.mark.parametrize(
    "record",
    [
        b'{"body":7}',
        b'{"attributes":{}}',
        b'{"body":{"intValue":"x"}}',
        b'{"body" 7}',
        b"7",
        b"null",
        b'{"body":{"kvlistValue":{"values":' * 40 + b"null" + b"}}}" * 40,
    ],
)
def test_a_broken_json_record_passes_as_it_is(record: bytes) -> None:
    good = b'{"body":{"stringValue":"a"}}'
    body = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%b, %b ,%b]}]}]}' % (good, record, good)
    batch = WIRE.otlp_json.decode(body)
    assert batch.messages == ["a", None, "a"]
    assert isinstance(batch.specials[1], Passed)
    assert b", %b ," % record in WIRE.otlp_json.splice(batch, [VERDICT] * 3)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (b"{}", b'{"attributes":[X]}'),
        (b'{ "a":1}', b'{ "a":1,"attributes":[X]}'),
        (b'{"attributes":null,"a":1}', b'{"attributes":[X],"a":1}'),
        (b'{"attributes":[ ]}', b'{"attributes":[ X]}'),
        (
            b'{"attributes" : [{"key":"a"} ], "z":1e2}',
            b'{"attributes" : [{"key":"a"} ,X], "z":1e2}',
        ),
        (b'{"x":{"attributes":[]},"attributes":[]}', b'{"x":{"attributes":[]},"attributes":[X]}'),
        (
            b'{"body":{"stringValue":"\\"attributes\\":[]"}}',
            b'{"body":{"stringValue":"\\"attributes\\":[]"},"attributes":[X]}',
        ),
        (b'{"x":NaN}', b'{"x":NaN,"attributes":[X]}'),
        (b'{"x":"\\ud800"}', b'{"x":"\\ud800","attributes":[X]}'),
    ],
)
def test_where_json_attributes_go(record: bytes, expected: bytes) -> None:
    body = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%b]}]}]}'
    out = labelled(WIRE.otlp_json, body % record)
    ours = json.dumps(
        [
            {"key": k, "value": {"stringValue": v} if isinstance(v, str) else {"doubleValue": v}}
            for k, v in OURS.items()
        ],
        separators=(",", ":"),
    )[1:-1]
    assert out == body % expected.replace(b"X", ours.encode())


def test_names_in_snake_case_are_known_as_well() -> None:
    body = b'{"resource_logs":[{"scope_logs":[{"log_records":[{"body":{"string_value":"a"}}]}]}]}'
    assert WIRE.otlp_json.decode(body).messages == ["a"]


def test_spellings_may_be_mixed() -> None:
    old = b'{"scope_logs":[{"log_records":[{"body":{"string_value":"a, a"}},{}]}]}'
    new = b'{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"b"}}]}]}'
    batch = WIRE.otlp_json.decode(b'{"resourceLogs":[%b,%b]}' % (old, new))
    assert batch.messages == ["a, a", None, "b"]


HOPELESS = [
    (WIRE.otlp, b"hello"),
    (WIRE.otlp, b"\x0a\x05ab"),
    (WIRE.otlp, one_record(body=text("a"))[:-1]),
    (WIRE.otlp, protobuf.pack_field(1, protobuf.pack_field(2, protobuf.pack_field(2, b"\x0f")))),
    (WIRE.otlp_json, b"[]"),
    (WIRE.otlp_json, b"{"),
    (WIRE.otlp_json, b'{"resourceLogs":{}}'),
    (WIRE.otlp_json, b'{"resourceLogs":[{"resource":"x"}]}'),
    (WIRE.otlp_json, b'{"resourceLogs":[]} x'),
    (WIRE.otlp_json, b'{"resourceLogs":[],"resource_logs":[]}'),
    (WIRE.otlp_json, b'{"resourceLogs":' + b"[" * 100_000),
    (WIRE.otlp_json, b'{"resourceMetrics":[]}'),
]


@pytest.mark.parametrize(("codec", "body"), HOPELESS)
def test_what_is_no_request_is_refused_as_a_whole(codec: Codec, body: bytes) -> None:
    with pytest.raises(MalformedError) as caught:
        codec.decode(body)
    assert caught.value.code == "not_otlp"


def sample() -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    for k in range(2):
        frame = request.resource_logs.add(schema_url="u")
        frame.resource.attributes.append(attribute("service.name", f"s{k}"))
        scope = frame.scope_logs.add()
        scope.scope.name = "scope"
        for i in range(2):
            record = scope.log_records.add(
                time_unix_nano=2**60 + i, severity_number=9, span_id=bytes(8)
            )
            record.body.string_value = f"message {i}"
            record.attributes.append(attribute("source", "x"))
            record.attributes.add(key="m").value.kvlist_value.values.append(attribute("a", "b"))
    return request


def survive(codec: Codec, body: bytes) -> Batch | None:
    """Everything that is done to a request; nothing but MalformedError may come out of it."""
    try:
        batch = codec.decode(body)
    except MalformedError as error:
        assert error.code == "not_otlp"
        return None
    verdicts: Sequence[Verdict] = [VERDICT] * len(batch)
    assert codec.splice(batch, verdicts)
    assert (
        len(json_records(codec, batch, verdicts))
        == len(msgpack_entries(codec, batch, verdicts, lambda: 1.0))
        == len(batch)
    )
    return batch


@BOTH
def test_a_request_cut_anywhere_is_refused_or_whole(codec: Codec) -> None:
    body = encode(codec, sample())
    whole = [cut for cut in range(1, len(body)) if survive(codec, body[:cut]) is not None]
    # A cut between two resources leaves a valid request; no checksum tells.
    assert len(whole) == (1 if codec is WIRE.otlp else 0)


@BOTH
def test_random_damage_costs_no_other_exception(codec: Codec) -> None:
    chance = random.Random(20)
    body = encode(codec, sample())
    for _ in range(4000):
        data = bytearray(body)
        for _ in range(chance.choice((1, 1, 2, 8))):
            at = chance.randrange(len(data))
            match chance.randrange(4):
                case 0:
                    data[at] = chance.randrange(256)
                case 1:
                    del data[at : at + chance.randrange(1, 9)]
                case 2:
                    data[at:at] = chance.randbytes(chance.randrange(1, 9))
                case _:
                    data[at:at] = data[chance.randrange(len(data)) :][: chance.randrange(40)]
            data = data or bytearray(b"x")
        survive(codec, bytes(data))


@BOTH
def test_receivers_without_otlp_get_plain_records_with_everything(codec: Codec) -> None:
    batch = codec.decode(encode(codec, sample()))
    verdicts = [VERDICT] * len(batch)
    first = json.loads(json_records(codec, batch, verdicts)[0])
    assert first == OURS | {
        "date": first["date"],
        "log": "message 0",
        "severity_number": first["severity_number"],
        # Protobuf's own JSON writer knows nothing of OTLP's hexadecimal ids.
        "span_id": "0" * 16 if codec is WIRE.otlp else first["span_id"],
        "attributes": {"source": "x", "m": {"a": "b"}},
        "resource": {"service.name": "s0"},
        "scope": {"name": "scope"},
    }
    time, record = msgpack.unpackb(msgpack_entries(codec, batch, verdicts, lambda: 1.0)[3])
    assert struct.unpack(">II", time.data) == divmod(2**60 + 1, 10**9)
    assert (record["log"], record["resource"], record["target_label"]) == (
        "message 1",
        {"service.name": "s1"},
        "Error",
    )


@BOTH
def test_a_map_as_body_is_the_plain_record_itself(codec: Codec) -> None:
    body = AnyValue(kvlist_value=KeyValueList(values=[attribute("log", "a"), attribute("k", "v")]))
    batch = codec.decode(encode(codec, ExportLogsServiceRequest.FromString(one_record(body=body))))
    assert json.loads(json_records(codec, batch, [VERDICT])[0]) == OURS | {"log": "a", "k": "v"}


def test_a_broken_record_becomes_a_plain_one_with_its_bytes() -> None:
    good = LogRecord(body=text("a")).SerializeToString()
    scope = protobuf.pack_field(2, good) + protobuf.pack_field(2, b"\x0f\xff")
    batch = WIRE.otlp.decode(protobuf.pack_field(1, protobuf.pack_field(2, scope)))
    record = json.loads(json_records(WIRE.otlp, batch, [VERDICT] * 2)[1])
    assert base64.b64decode(record["raw_base64"]) == b"\x0f\xff"


@pytest.mark.parametrize("name", ["resourceLogs", "resource_logs"])
def test_a_request_in_json_is_known_by_its_first_key(name: str) -> None:
    """However it is sent: a record of that name would get its label beside the request."""
    request = (
        b' {"%s":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}' % name.encode()
    )
    wire = Wire(FieldPlan(FieldSettings()))
    codec, batch = wire.decode(request, "application/json")
    assert (codec, batch.messages) == (wire.otlp_json, ["x"])
    for other in (request * 2, b'{"resourceLogs":5}', b'{"log":"x","resourceLogs":[]}'):
        assert wire.decode(other, "application/json")[0] is wire.json
