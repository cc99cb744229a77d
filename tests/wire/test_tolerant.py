"""One odd value costs that value: the record's other fields and its time stay for queries."""

from __future__ import annotations

import json

import msgpack
import pytest

from tests.wire.rendering import json_records, msgpack_entries
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, JsonCodec
from waybill.wire.json.tolerant import read_object

CODEC = JsonCodec(FieldPlan(FieldSettings()))
ODD = {
    b"NaN": "NaN",
    b"-Infinity": "-Infinity",
    b"1e999": "1e999",
    b'"a\tb"': "a\tb",
    b'"a\x01b"': "a\x01b",
    b'"\\ud800"': "\\ud800",
    b'"caf\xe9"': "caf\\xe9",
    b'"\\q"': '"\\q"',
    b"01": "01",
    b"nul": "nul",
    b"[1,NaN]": [1, "NaN"],
    b"[" * 5000 + b"]" * 5000: "[" * 5000 + "]" * 5000,
}


@pytest.mark.parametrize(("odd", "read"), ODD.items(), ids=range(len(ODD)))
def test_an_odd_value_costs_itself(odd: bytes, read: object) -> None:
    body = b'{"time":1714557600,"log":"disk full","odd":%b,"n":7}' % odd
    batch = CODEC.decode(body)
    assert batch.messages == ["disk full"]
    verdicts = [Verdict("Error", "rule")]
    (event,) = CODEC.events(batch, verdicts)
    assert event.moment == (1714557600, 0)
    (text,) = json_records(CODEC, batch, verdicts)
    (entry,) = msgpack_entries(CODEC, batch, verdicts, lambda: 0.0)
    _, packed = msgpack.unpackb(entry, strict_map_key=False)
    # JSON stays JSON: what the fast decoder does not mind goes on byte for byte.
    kept = json.loads(text.decode("utf-8", "replace"))
    for record in (kept, packed):
        assert (record["log"], record["n"], record["target_label"]) == ("disk full", 7, "Error")
        assert "odd" in record
    assert packed["odd"] == read


@pytest.mark.parametrize(
    "text", [b"[1]", b"{", b'{"a":NaN', b'{"a":NaN,}', b"{NaN}", b'{"a":NaN} x']
)
def test_what_is_no_object_is_none(text: bytes) -> None:
    assert read_object(text) is None
