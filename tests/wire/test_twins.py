"""A name that stands twice: where a record must be converted, no value of it is lost."""

from __future__ import annotations

import json
import time

import msgpack
import pytest

from tests.effort import allowed
from tests.wire.rendering import json_records, msgpack_entries
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, Wire
from waybill.wire.convert.to_otlp import OtlpForm
from waybill.wire.event import members_of
from waybill.wire.json.tolerant import read_object
from waybill.wire.otlp.flat import flat_events
from waybill.wire.otlp.frames import OtlpBatch
from waybill.wire.rendered import render

_WIRE = Wire(FieldPlan(FieldSettings()))
_VERDICT = Verdict("Error", "rule", 1.0, "r")
#: JSON, and how often each of its numbers must come out.
TWINS = (
    b'{"log":"x","a":1,"a":2}',
    b'{"log":"x","a":1,"a" : 2}',
    b'{"log":"x\\"a\\":0","a":1,"\\u0061":2}',
    b'{"log":"x","k":{"a":1,"a":2}}',
    b'{"log":"x","k":[{"a":1,"a":2}]}',
    b'{"log":"x","n":NaN,"a":1,"a":2}',
    b'{"log":"x","n":NaN,"k":{"a":1,"a":2}}',
    b'{"log":"x","a":1,"a_2":2,"a":7}',
    b'{"log":"x","a":1,"a":1e400,"a":2}',
    b'{"log":"x","log":1,"log":2}',
    b'{"log":"a\\u003ab \\u003A","a":1,"a":2}',
    b'{"log":"10:20:30","a\\\\":1,"a\\\\"\n:2}',
)
_OTLP = (
    b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"},"attributes":'
    b'[{"key":"a","value":{"intValue":1}},{"key":"a","value":{"intValue":2}}]}]}]}]}'
)


def _numbers(value: object) -> set[object]:
    if isinstance(value, dict):
        return _numbers(list(value.values()))
    if isinstance(value, list):
        return {number for item in value for number in _numbers(item)}
    return {value} if type(value) is int else set()


@pytest.mark.parametrize("text", TWINS)
def test_json_becomes_an_entry_with_both(text: bytes) -> None:
    codec, batch = _WIRE.decode(text, "application/json")
    (entry,) = msgpack_entries(codec, batch, [_VERDICT], lambda: 0.0)
    assert {1, 2} <= _numbers(msgpack.unpackb(entry)[1])
    rendered = render(codec, batch, [_VERDICT], OtlpForm(), lambda: 0.0)
    otlp, back = _WIRE.decode(rendered.encode(0, 1), "application/x-protobuf")
    assert isinstance(back, OtlpBatch)
    (event,) = flat_events(_WIRE.otlp, back, [_VERDICT])
    assert {1, 2} <= _numbers(event.record)
    assert otlp is _WIRE.otlp


@pytest.mark.parametrize(
    "pairs",
    [
        b"\xa1a\x01\xa1a\x02",
        b"\x01\x01\xa11\x02",
        b"\xc0\x01\xa4None\x02",
        b"\xc4\x01a\x01\xa1a\x02",
        b"\xa1k\x82\xa1a\x01\xa1a\x02\xa1b\xc0",
    ],
)
def test_an_entry_becomes_json_with_both(pairs: bytes) -> None:
    codec, batch = _WIRE.decode(b"\x92\x07\x83\xa3log\xa1x" + pairs, "application/msgpack")
    (record,) = json_records(codec, batch, [_VERDICT])
    assert {1, 2} <= _numbers(json.loads(record)), record


def test_attributes_become_json_with_both() -> None:
    codec, batch = _WIRE.decode(_OTLP, "application/otlp+json")
    (record,) = json_records(codec, batch, [_VERDICT])
    assert json.loads(record)["attributes"] == {"a": 2, "a_2": 1}


def test_what_no_name_stands_twice_in_is_as_it_was() -> None:
    text = b'{"a":{"b":[1,{"c":"d: \\"e\\": f"}]},"n":12345678901234567890,"f":1.50}'
    assert read_object(text) == json.loads(text)
    assert members_of([(1, "x"), ("1", "y")]) == {1: "x", "1": "y"}


def test_very_many_of_one_name_take_no_longer_than_they_are() -> None:
    pairs = [("a", i) for i in range(20_000)] + [(f"a_{i}", i) for i in range(20_000)]
    begin = time.thread_time()
    found = members_of(pairs)
    assert time.thread_time() - begin < allowed(0.2)
    assert len(found) == 40_000
