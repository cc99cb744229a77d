"""A record that needs a second look: it says what the tolerant reader says, and costs what is in it."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType

import msgpack
import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.settings.schema import FieldSettings
from waybill.wire import Wire
from waybill.wire.codec import DECODE_ERRORS
from waybill.wire.fields import FieldPlan
from waybill.wire.finder import Finder
from waybill.wire.json import scan as json_scan
from waybill.wire.msgpack import scan as msgpack_scan
from waybill.wire.policy import Reading, make_reading

_FIELDS = FieldSettings(message=("a", "b.a", "b", "a.b.a", "c"), source=("b.c", "a.b", "s", "b"))
_PLAN = FieldPlan(_FIELDS)
_JSON = Finder(_PLAN, lambda kind: msgspec.json.Decoder(kind).decode)
_PACKED = Finder(_PLAN, lambda kind: msgspec.msgpack.Decoder(kind).decode)
_LEAVES = st.sampled_from(["", " ", "text", "other", 1, 2.5, None, True, [], [104, 105]])
_NAMES = st.sampled_from(["a", "b", "c", "s", "x", "b.a", "a.b"])
_RECORDS = st.dictionaries(
    _NAMES, st.recursive(_LEAVES, lambda inner: st.dictionaries(_NAMES, inner)), max_size=4
)


def _tolerant_json(data: bytes) -> Reading:
    top = {name: (at, stop) for name, _, at, stop in json_scan.members(data, 0)}
    message, is_other = json_scan.find_string(data, top, _PLAN.message)
    source, _ = json_scan.find_string(data, top, _PLAN.source)
    return make_reading(message, source, is_other=is_other)


def _tolerant_packed(data: bytes) -> Reading:
    top = {name: at for name, _, at, _ in msgpack_scan.members(data, 0) if name is not None}
    message, is_other = msgpack_scan.find_string(data, top, _PLAN.message)
    source, _ = msgpack_scan.find_string(data, top, _PLAN.source)
    return make_reading(message, source, is_other=is_other)


def _agree(finder: Finder, data: bytes, tolerant: Callable[[bytes], Reading]) -> None:
    try:
        found = finder.find(data)
    except DECODE_ERRORS:
        return  # the tolerant reader decides
    assert found == tolerant(data)


@given(_RECORDS)
def test_both_readers_say_the_same(record: dict[str, object]) -> None:
    """Whatever stands at the paths, in front of them and between them."""
    _agree(_JSON, orjson.dumps(record), _tolerant_json)
    _agree(_PACKED, msgpack.packb(record), _tolerant_packed)


def _calls(finder: Finder, data: bytes) -> int:
    """How many functions are called to read ``data``, those in C as well."""
    count = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        finder.find(data)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "record",
    [{}, {"z": 1}, {"z": "hello"}, {"z": {"z": {"z": {}}}}, {"log": 5}, {"log": ""}, {"log": {}}],
    ids=repr,
)
def test_a_record_without_a_message_costs_no_more_with_more_paths(
    record: dict[str, object],
) -> None:
    """250,000 of `{}` are 750 KB: each was asked for a hundred paths, 35 us long."""
    many = tuple(f"a{i}.b{i}" for i in range(500))
    few, more = (
        Finder(
            FieldPlan(FieldSettings(message=paths)), lambda kind: msgspec.json.Decoder(kind).decode
        )
        for paths in (("log",), ("log", *many))
    )
    data = orjson.dumps(record)
    assert _calls(more, data) == _calls(few, data) <= 24


@given(_RECORDS)
def test_a_large_record_is_read_as_a_small_one(record: dict[str, object]) -> None:
    """Of a large one only the members that are wanted are listed."""
    ballast = {"ballast": "x" * 70_000}
    for name, value in record.items():
        if isinstance(value, dict):
            record = {**record, name: {**value, **ballast}}
            break
    record = {**record, **ballast}
    _agree(_JSON, orjson.dumps(record), _tolerant_json)
    _agree(_PACKED, msgpack.packb(record), _tolerant_packed)


_WIDE = {f"k{number}": 1 for number in range(20_000)}


@pytest.mark.parametrize(
    "record",
    [
        {**_WIDE, "log": 1},
        {**_WIDE, "log": {"x": 1}, "kubernetes": _WIDE},
        {**_WIDE, "log": "failed", "target_label": 5},
        {**_WIDE, "log": [1], "target_label": "Error", "kubernetes": _WIDE},
    ],
    ids=["no text", "within", "our name", "labelled"],
)
@pytest.mark.parametrize("kind", ["application/json", "application/msgpack"])
def test_what_is_read_of_a_record_takes_no_more_than_it(
    record: dict[str, object], kind: str
) -> None:
    """Lists of five million members took 800 MB for a body of 42 MB."""
    body = orjson.dumps(record) if kind.endswith("json") else msgpack.packb([0, record])
    wire = Wire(FieldPlan(FieldSettings()))
    tracemalloc.start()
    try:
        _, batch = wire.decode(body, kind)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(batch) == 1
    assert most < 3 * len(body)
