"""What must be read byte by byte is told apart before it has taken long, whatever it looks like."""

from __future__ import annotations

import json

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.strategies import bodies
from waybill.core.batch import ScanBudget
from waybill.core.errors import MalformedError, SlowToReadError
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, Wire

WIRE = Wire(FieldPlan(FieldSettings()))
BUDGET_BYTES = 2000
RECORD = b'{"log":"component-7 failed with code 3","stream":"stderr","kubernetes":{"pod":"a"}}'
WITHOUT_MESSAGE = RECORD.replace(b"log", b"txt")
LABELLED = RECORD[:-1] + b',"target_label":"Error"}'


def array(record: bytes) -> tuple[str, bytes]:
    return "application/json", b"[" + b",".join([record] * 1000) + b"]"


def lines(record: bytes) -> tuple[str, bytes]:
    return "application/json", b"\n".join([record] * 1000)


def events(record: bytes) -> tuple[str, bytes]:
    return "application/msgpack", msgpack.packb([[0, {}], json.loads(record)]) * 1000


PLAIN = {
    "array": array(RECORD),
    "array with spaces": ("application/json", b"[ " + b" , ".join([RECORD] * 1000) + b" ]"),
    "lines": lines(RECORD),
    "lines with spaces": lines(b"  " + RECORD + b" \r"),
    "msgpack events": events(RECORD),
    "old msgpack events": ("application/msgpack", msgpack.packb([0, json.loads(RECORD)]) * 1000),
}
LABORIOUS = {
    "no message, array": array(WITHOUT_MESSAGE),
    "no message, lines": lines(WITHOUT_MESSAGE),
    "no message, msgpack": events(WITHOUT_MESSAGE),
    "labelled already, array": array(LABELLED),
    "labelled already, lines": lines(LABELLED),
    "labelled already, msgpack": events(LABELLED),
    "message no string": array(RECORD.replace(b'"component-7 failed with code 3"', b"7")),
    "broken array": ("application/json", array(RECORD)[1][:-1] + b"}"),
    "broken lines": lines(RECORD[:-1]),
    "many lines each": lines(json.dumps(json.loads(RECORD), indent=1).encode()),
    "one line, no commas": ("application/json", RECORD * 1000),
    "brackets": ("application/json", b"[" * 100_000),
    "braces": ("application/json", b'{"a":' * 20_000),
    "an endless string": ("application/json", b'["' + b'\\"' * 50_000),
    "an object that never ends": ("application/json", b'{"a":\n' * 20_000),
    "msgpack arrays": ("application/msgpack", b"\x91" * 100_000),
    "msgpack nothing": ("application/msgpack", b"\xc0" * 1000),
    "otlp": ("application/x-protobuf", b"\x0a\x00" * 2000),
    "otlp json": ("application/otlp+json", b'{"resourceLogs":[' + b" " * 4000 + b"]}"),
}


@pytest.mark.parametrize("name", PLAIN)
def test_what_shippers_send_costs_nothing(name: str) -> None:
    kind, body = PLAIN[name]
    _, batch = WIRE.decode(body, kind, budget=ScanBudget(0))
    assert len(batch) == 1000
    assert not batch.specials


@pytest.mark.parametrize("name", LABORIOUS)
def test_what_costs_is_given_up_past_the_limit_and_read_without_one(name: str) -> None:
    kind, body = LABORIOUS[name]
    with pytest.raises(SlowToReadError):
        WIRE.decode(body, kind, budget=ScanBudget(BUDGET_BYTES))
    try:
        _, batch = WIRE.decode(body, kind)
    except MalformedError:
        return
    # The brace that breaks the array is one more, no record.
    assert len(batch) == {"broken array": 1001, "otlp": 0, "otlp json": 0}.get(name, 1000)


@given(bodies(), st.integers(0, 2000))
def test_a_limit_changes_nothing_but_whether_there_is_an_answer(
    body: bytes, budget_bytes: int
) -> None:
    _, whole = WIRE.decode(body)
    try:
        _, batch = WIRE.decode(body, budget=ScanBudget(budget_bytes))
    except SlowToReadError:
        return
    names = ("starts", "ends", "messages", "sources", "specials")
    assert [getattr(batch, name) for name in names] == [getattr(whole, name) for name in names]
