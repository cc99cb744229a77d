"""A record of so many values that lists of them would fill the memory goes on as it came."""

from __future__ import annotations

import tracemalloc

import msgpack
import orjson
import pytest

from tests.wire.rendering import msgpack_entries
from waybill.core.errors import MalformedError
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import Wire
from waybill.wire.fields import FieldPlan
from waybill.wire.json.tolerant import read_object

MANY = 300_000
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


def test_an_ordinary_record_is_no_wide_one() -> None:
    record = {"log": "a, b, c, " * 80_000, "n": 1}
    assert read_object(orjson.dumps(record)) == record
