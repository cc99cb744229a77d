"""A record of so many values that lists of them would fill the memory goes on as it came."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import msgpack
import orjson
import pytest

from tests.wire.rendering import msgpack_entries
from waybill.core.errors import MalformedError
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import Wire
from waybill.wire.fields import FieldPlan
from waybill.wire.json.scan import is_too_much
from waybill.wire.json.tolerant import read_object
from waybill.wire.otlp.messages import LOG_RECORD, to_members
from waybill.wire.otlp.protobuf import pack_field

MANY = 300_000
SOME = 20_000
PAIRS = [{"key": f"k{number}"} for number in range(MANY)]
GOOD = {"body": {"stringValue": "it failed"}}
VERDICT = Verdict("Error", "rule")


def _request(*records: object) -> bytes:
    return orjson.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]})


@pytest.mark.parametrize(
    "wide",
    [
        {"body": {"kvlistValue": {"values": PAIRS}}},
        {"body": {"stringValue": "it failed"}, "attributes": PAIRS},
        {"body": {"arrayValue": {"values": [{}] * MANY}}},
    ],
    ids=["body", "attributes", "array"],
)
def test_a_wide_record_of_otlp_goes_on_as_it_came_and_its_neighbours_are_labelled(
    wide: object,
) -> None:
    wire = Wire(FieldPlan(FieldSettings()))
    body = _request(GOOD, wide, GOOD)
    tracemalloc.start()
    try:
        codec, batch = wire.decode(body, "application/otlp+json")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert batch.messages == ["it failed", None, "it failed"]
    assert batch.specials[1].reason == "malformed_record"
    assert most < 4 * len(body)
    answer = codec.splice(batch, [VERDICT] * 3)
    assert orjson.dumps(wide) in answer
    assert answer.count(b"target_label") == 2


@pytest.mark.parametrize("kind", ["resource", "scope"])
def test_what_a_wide_resource_says_is_not_dropped_in_silence(kind: str) -> None:
    wide = {"attributes": PAIRS}
    scope = {"logRecords": [GOOD], **({"scope": wide} if kind == "scope" else {})}
    resource = {"scopeLogs": [scope], **({"resource": wide} if kind == "resource" else {})}
    body = orjson.dumps({"resourceLogs": [resource]})
    with pytest.raises(MalformedError, match="says too much about itself"):
        Wire(FieldPlan(FieldSettings())).decode(body, "application/otlp+json")


def test_a_wide_record_goes_as_text_into_another_encoding() -> None:
    wire = Wire(FieldPlan(FieldSettings()))
    wide = orjson.dumps({"log": "it failed", **{f"k{number}": 1 for number in range(MANY)}})
    codec, batch = wire.decode(wide + b'\n{"log":"good","n":1}', "application/json")
    first, second = msgpack_entries(codec, batch, [VERDICT] * 2, lambda: 0.0)
    record = msgpack.unpackb(first, timestamp=3, strict_map_key=False)[1]
    assert wide.decode() in record.values()
    assert msgpack.unpackb(second)[1]["n"] == 1


def _protobuf(*records: bytes) -> bytes:
    return pack_field(1, pack_field(2, b"".join([pack_field(2, record) for record in records])))


PROTO_PAIRS = b"".join([pack_field(1, pack_field(1, b"k%d" % number)) for number in range(MANY)])
PROTO_GOOD = pack_field(5, pack_field(1, b"it failed"))
PROTO = "application/x-protobuf"
NESTED = b"{" + b'"a":[' * 900 + b"]" * 900 + b"}"


def _most_bytes(task: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        task()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "value",
    [pack_field(6, PROTO_PAIRS), pack_field(5, pack_field(1, b"") * MANY)],
    ids=["map", "array"],
)
def test_a_wide_body_in_protobuf_costs_only_itself(value: bytes) -> None:
    wire = Wire(FieldPlan(FieldSettings()))
    body = _protobuf(PROTO_GOOD, pack_field(5, value), PROTO_GOOD)
    codec, batch = wire.decode(body, PROTO)
    assert batch.messages == ["it failed", None, "it failed"]
    assert batch.specials[1].reason == "malformed_record"
    assert pack_field(5, value) in codec.splice(batch, [VERDICT] * 3)


@pytest.mark.parametrize(
    "wide",
    [
        PROTO_GOOD + b"".join([pack_field(6, pack_field(1, b"k%d" % i)) for i in range(MANY)]),
        PROTO_GOOD + pack_field(6, pack_field(1, b"k") + pack_field(2, pack_field(6, PROTO_PAIRS))),
    ],
    ids=["attributes", "attribute"],
)
def test_a_wide_record_in_protobuf_goes_as_text_into_another_encoding(wide: bytes) -> None:
    wire = Wire(FieldPlan(FieldSettings()))
    codec, batch = wire.decode(_protobuf(PROTO_GOOD, wide), PROTO)
    first, second = codec.events(batch, [VERDICT] * 2)
    assert first.record is not None
    assert second.record is None
    assert wide in second.original
    with pytest.raises(ValueError, match="too many"):
        to_members(wide, LOG_RECORD)


def test_what_is_nested_in_protobuf_is_not_copied_at_each_level() -> None:
    value = pack_field(1, b"x" * (1 << 20))
    for _ in range(20):
        value = pack_field(5, pack_field(1, value))
    record = pack_field(5, value)
    assert _most_bytes(lambda: to_members(record, LOG_RECORD)) < 4 * len(record)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (PROTO, pack_field(1, b"") * SOME + _protobuf(PROTO_GOOD)),
        (
            PROTO,
            pack_field(1, pack_field(2, b"") * SOME + pack_field(2, pack_field(2, PROTO_GOOD))),
        ),
        (
            PROTO,
            pack_field(
                1, pack_field(2, b"\x28\x00") * SOME + pack_field(2, pack_field(2, PROTO_GOOD))
            ),
        ),
        ("application/otlp+json", b'{"resourceLogs":[' + b"{}," * SOME + b"{}]}"),
        (
            "application/otlp+json",
            b'{"resourceLogs":[{"scopeLogs":[' + b"{}," * SOME + b"{}]}]}",
        ),
    ],
    ids=["resources", "scopes", "unknown", "resources in JSON", "scopes in JSON"],
)
def test_frames_without_records_are_so_many_at_most(content_type: str, body: bytes) -> None:
    wire = Wire(FieldPlan(FieldSettings()))

    def decode() -> None:
        with pytest.raises(MalformedError, match="without any record"):
            wire.decode(body, content_type)

    assert _most_bytes(decode) < 10 << 20


@pytest.mark.parametrize(
    "body",
    [
        b"\x18\x00" * SOME + _protobuf(PROTO_GOOD),
        pack_field(1, b"\x28\x00" * SOME + pack_field(2, pack_field(2, PROTO_GOOD))),
        pack_field(
            1, pack_field(2, b"\x28\x00" * SOME + pack_field(2, PROTO_GOOD) + b"\x28\x00" * SOME)
        ),
    ],
    ids=["request", "resource", "scope"],
)
def test_unknown_fields_beside_each_other_are_one_gap(body: bytes) -> None:
    wire = Wire(FieldPlan(FieldSettings()))
    assert _most_bytes(lambda: wire.decode(body, PROTO)) < 500_000
    codec, batch = wire.decode(body, PROTO)
    answer = codec.splice(batch, [VERDICT])
    assert answer.count(b"\x18\x00") + answer.count(b"\x28\x00") >= SOME


def test_unknown_members_of_frames_are_not_kept_one_by_one() -> None:
    members = b"".join([b'"k%d":1,' % number for number in range(SOME)])
    body = b'{%b"resourceLogs":[{"scopeLogs":[{"logRecords":[%b]}]}]}'
    body %= members, orjson.dumps(GOOD)
    wire = Wire(FieldPlan(FieldSettings()))
    assert _most_bytes(lambda: wire.decode(body, "application/otlp+json")) < 500_000
    _, batch = wire.decode(body, "application/otlp+json")
    assert batch.messages == ["it failed"]


def test_frames_of_records_are_counted_like_records() -> None:
    wire = Wire(FieldPlan(FieldSettings()))
    _, batch = wire.decode(_protobuf(PROTO_GOOD) * 100, PROTO)
    assert batch.weight == 300


def test_what_a_resource_says_is_not_repeated_without_end() -> None:
    about = pack_field(1, pack_field(1, b"k") + pack_field(2, pack_field(1, b"x" * 100_000)))
    records = pack_field(2, b"".join([pack_field(2, PROTO_GOOD)] * 2_000))
    wire = Wire(FieldPlan(FieldSettings()))
    codec, batch = wire.decode(pack_field(1, pack_field(1, about) + records), PROTO)
    with pytest.raises(MalformedError, match="would repeat"):
        list(codec.events(batch, [VERDICT] * 2_000))
    assert codec.splice(batch, [VERDICT] * 2_000).count(b"target_label") == 2_000


@pytest.mark.parametrize(
    "value",
    [
        dict.fromkeys(range(MANY), 1),
        [None] * MANY,
        [[{}] * 10] * (MANY // 10),
        [["x"]] * MANY,
    ],
    ids=["map", "nils", "nested", "texts"],
)
def test_a_wide_record_of_msgpack_goes_as_text_into_another_encoding(value: object) -> None:
    wire = Wire(FieldPlan(FieldSettings()))
    packed = msgpack.packb
    body = packed([1, {"log": "a", "v": value}]) + packed([1, {"log": "b", "v": [1]}])
    codec, batch = wire.decode(body, "application/msgpack")
    assert batch.messages == ["a", "b"]
    first, second = codec.events(batch, [VERDICT] * 2)
    assert first.record is None
    assert second.record is not None
    assert _most_bytes(lambda: list(codec.events(batch, [VERDICT] * 2))) < 4 * len(body)


def test_values_that_follow_no_comma_are_counted() -> None:
    text = b"[" + b",".join([NESTED] * 400) + b"]"
    assert text.count(b",") < 1_000
    assert is_too_much(text)
    assert not is_too_much(orjson.dumps({"log": "x" * MANY, "v": [1, 2]}))


def test_an_ordinary_record_is_no_wide_one() -> None:
    record = {"log": "a, b, c, " * 80_000, "n": 1}
    assert read_object(orjson.dumps(record)) == record
