"""From one encoding to the other: values survive, and what cannot be said is not lost."""

from __future__ import annotations

import base64
import json
import struct

import msgpack
import pytest
from hypothesis import given

from tests.wire.rendering import json_records, msgpack_entries
from tests.wire.strategies import bodies, packed_records
from waybill.core.errors import MalformedError
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, Wire, rendered
from waybill.wire.codec import Encoding
from waybill.wire.convert.to_json import JsonForm
from waybill.wire.convert.to_msgpack import EntryForm
from waybill.wire.convert.to_otlp import OtlpForm
from waybill.wire.moments import event_time, split_seconds
from waybill.wire.msgpack.entries import drop_metadata
from waybill.wire.rendered import Form, render

WIRE = Wire(FieldPlan(FieldSettings()))
VERDICT = Verdict("Error", "rule", 1.0, "r")
ADDED = {"target_label": "Error", "label_tier": "rule", "label_confidence": 1.0, "label_rule": "r"}
NOW = 1_700_000_000.25


def entries(body: bytes) -> list[list[object]]:
    codec, batch = WIRE.decode(body)
    found = msgpack_entries(codec, batch, [VERDICT] * len(batch), lambda: NOW)
    return [msgpack.unpackb(entry, strict_map_key=False) for entry in found]


def texts(*found: bytes) -> list[dict[str, object]]:
    codec, batch = WIRE.decode(b"".join(found), "application/msgpack")
    return [json.loads(text) for text in json_records(codec, batch, [VERDICT] * len(batch))]


def entry(record: object, time: object = None) -> bytes:
    head = time if time is not None else [event_time(split_seconds(NOW)), {}]
    data: bytes = msgpack.packb([head, record])
    return data


@pytest.mark.parametrize(
    ("value", "seconds", "nanos"),
    [
        (b"1795210250.095874", 1_795_210_250, 95_874_000),
        (b"1795210250", 1_795_210_250, 0),
        (b"1795210250095", 1_795_210_250, 95_000_000),
        (b"1795210250095874", 1_795_210_250, 95_874_000),
        (b"1795210250095874002", 1_795_210_250, 95_874_002),
        (b'"2026-11-20T22:24:10.095874002Z"', 1_795_213_450, 95_874_002),
        (b'"2026-11-20 23:24:10,5+01:00"', 1_795_213_450, 500_000_000),
        (b'"yesterday"', 1_700_000_000, 250_000_000),
        (b"-5", 1_700_000_000, 250_000_000),
        (b"true", 1_700_000_000, 250_000_000),
        (b'"2026-13-40T00:00:00Z"', 1_700_000_000, 250_000_000),
    ],
)
def test_the_time_of_a_json_record_becomes_the_time_of_its_entry(
    value: bytes, seconds: int, nanos: int
) -> None:
    ((time, record),) = entries(b'{"log":"a","date":' + value + b"}")
    assert struct.unpack(">II", time.data) == (seconds, nanos)  # type: ignore[attr-defined]
    assert "date" in record  # type: ignore[operator]


@given(bodies())
def test_json_in_forward_out_keeps_every_record(body: bytes) -> None:
    _, batch = WIRE.decode(body)
    found = entries(body)
    assert len(found) == len(batch)
    assert all(record["target_label"] == "Error" for _, record in found)  # type: ignore[index]


def test_what_msgpack_cannot_hold_is_written_as_text() -> None:
    ((_, record),) = entries(
        b'{"log":"a","big":' + b"9" * 30 + b',"in":[{"x":-9223372036854775809}]}'
    )
    assert record["big"] == "9" * 30  # type: ignore[index]
    assert record["in"] == [{"x": "-9223372036854775809"}]  # type: ignore[index]


@pytest.mark.parametrize(
    "odd",
    [b"5", b'"text"', b'{"log":"x","d":' + b"[" * 600 + b"]" * 600 + b"}"],
)
def test_what_is_no_record_in_forward_goes_as_text(odd: bytes) -> None:
    found = entries(b'[{"log":"a"},' + odd + b"]")
    assert found[1][1]["log"] == odd.decode()  # type: ignore[index]
    assert found[1][1]["target_label"] == "Error"  # type: ignore[index]


def test_msgpack_in_forward_out_is_spliced_not_rewritten() -> None:
    body = entry({"log": "a"}) + entry({"log": "b"}, 7)
    assert entries(body)[0][0] == [event_time(split_seconds(NOW)), {}]
    assert entries(body)[1] == [7, {"log": "b"} | ADDED]


def test_a_cut_stream_keeps_its_rest() -> None:
    body = entry({"log": "a"})
    found = entries(body + body[:-3])
    assert base64.b64decode(found[1][1]["raw_base64"]) == body[:-3]  # type: ignore[index]


@given(packed_records)
def test_msgpack_in_json_out_gives_strict_json_with_every_member(
    record: dict[object, object],
) -> None:
    (back,) = texts(entry(record))
    assert back["target_label"] == "Error"
    assert {str(key) for key in record if isinstance(key, str)} <= set(back)


def test_the_time_of_an_entry_stands_in_its_json() -> None:
    codec, batch = WIRE.decode(
        entry({"log": "a"}) + entry({"log": "b", "date": "mine"}), "application/msgpack"
    )
    first, second = json_records(codec, batch, [VERDICT] * 2)
    assert first.startswith(b'{"date":1700000000.250000000,"log":"a",')
    assert json.loads(second)["date"] == "mine"


def test_msgpack_values_that_json_lacks_are_written_as_text() -> None:
    record = {
        "log": b"bytes",
        5: float("nan"),
        "raw": b"\xff",
        "ext": msgpack.ExtType(9, b"xy"),
        "t": msgpack.Timestamp(0),
    }
    (back,) = texts(entry(record))
    assert (back["log"], back["5"], back["raw"]) == ("bytes", "nan", "\\xff")
    assert back["ext"] == {"ext": 9, "base64": "eHk="}
    assert back["t"] == "1970-01-01T00:00:00+00:00"


@pytest.mark.parametrize("odd", ["text", 7, [1]])
def test_an_entry_without_a_map_goes_as_text(odd: object) -> None:
    first, second = texts(entry({"log": "a"}), entry(odd))
    assert first["log"] == "a"
    assert second["target_label"] == "Error"


def test_metadata_can_be_dropped_for_receivers_that_do_not_know_it() -> None:
    nested, plain = entry({"log": "a"}), entry({"log": "a"}, event_time(split_seconds(NOW)))
    assert drop_metadata(nested) == plain
    assert drop_metadata(plain) == plain


def test_dropping_metadata_does_not_mind_how_deep_a_record_is() -> None:
    deep = b"\x81\xa1a" + b"\x91" * 5000 + b"\xc0"
    assert drop_metadata(b"\x92\x92\x01\x80" + deep) == b"\x92\x01" + deep


@pytest.mark.parametrize(
    "time",
    [1_700_000_000, 1_700_000_000_000, 1_700_000_000 * 10**9, msgpack.Timestamp(1_700_000_000),
     "2023-11-14T22:13:20Z"],
    ids=["seconds", "milliseconds", "nanoseconds", "timestamp of msgpack", "text"],
)  # fmt: skip
def test_the_time_of_an_entry_is_read_however_it_is_written(time: object) -> None:
    (record,) = texts(msgpack.packb([time, {"log": "a"}]))
    assert record["date"] == 1_700_000_000


@pytest.mark.parametrize("seconds", [0xFFFFFFFF, 0xFFFFFFFE])
def test_a_group_marker_has_no_time(seconds: int) -> None:
    marker = b"\x92" + struct.pack(">BBII", 0xD7, 0, seconds, 0) + b"\x80"
    first, second = texts(marker + entry({"log": "a"}))
    assert first == {}
    assert second["target_label"] == "Error"


@pytest.mark.parametrize("time", [float("inf"), float("nan"), -1, 2**64 - 1, "noon", None])
def test_a_time_that_is_none_costs_no_record(time: object) -> None:
    (record,) = texts(msgpack.packb([time, {"log": "a"}]))
    assert record == {"date": 0.0, "log": "a"} | ADDED


#: What takes far more bytes in another encoding, and the form of it.
SWELLING: list[tuple[bytes, str, Form]] = [
    (entry({"log": "\x01" * 5000}) * 100, "application/msgpack", JsonForm(lines=True)),
    (entry({"log": "a", "b": b"\xff" * 5000}) * 100, "application/msgpack", JsonForm(lines=False)),
    (
        entry({"log": "a", "n": [None] * 5000}) * 100,
        "application/msgpack",
        OtlpForm(Encoding.OTLP_JSON),
    ),
    (b'{"log":"a","n":[%b0]}\n' % (b"0," * 5000) * 100, "application/json", OtlpForm()),
    (b'{"log":"a","n":[%b1]}\n' % (b"1.5," * 5000) * 100, "application/json", EntryForm()),
]


@pytest.mark.parametrize(("body", "kind", "form"), SWELLING)
def test_another_encoding_makes_so_much_of_a_body_at_most(
    body: bytes, kind: str, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec, batch = WIRE.decode(body, kind)
    made = render(codec, batch, [VERDICT] * len(batch), form, lambda: NOW)
    assert sum(made.sizes) > 2 * len(body)
    monkeypatch.setattr(rendered, "_MOST_MADE", 0)
    with pytest.raises(MalformedError, match="too_large"):
        render(codec, batch, [VERDICT] * len(batch), form, lambda: NOW)
