"""Msgpack event streams: only the member count and the appended members differ."""

from __future__ import annotations

import io
import struct

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.strategies import event_times, packed_records
from waybill.core.batch import Passed
from waybill.core.errors import MalformedError
from waybill.core.prepare import is_blank
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, MsgpackCodec
from waybill.wire.msgpack import scan as packed

CODEC = MsgpackCodec(FieldPlan(FieldSettings()))
VERDICT = Verdict("Error", "model", 0.75, "m@1")
ADDED = {
    "target_label": "Error",
    "label_tier": "model",
    "label_confidence": 0.75,
    "label_rule": "m@1",
}
SUFFIX = b"".join(msgpack.packb(part) for pair in ADDED.items() for part in pair)
TIME = struct.pack(">BBII", 0xD7, 0, 1_795_210_250, 95_874_002)


def entry(record: object, time: bytes = TIME, is_nested: bool = True) -> bytes:
    head = b"\x92" + time + b"\x80" if is_nested else time
    return b"".join((b"\x92", head, msgpack.packb(record)))


def labelled(body: bytes, codec: MsgpackCodec = CODEC) -> bytes:
    batch = codec.decode(body)
    return codec.splice(batch, [VERDICT] * len(batch))


def without_ours(body: bytes) -> bytes:
    """Undo the splice, byte by byte: drop the suffix, lower the count."""
    out = b""
    at = 0
    while at < len(body):
        end = packed.value_end(body, at)
        start = packed.value_end(body, at + 1)
        found = packed.map_header(body, start)
        if found and body[start:end].endswith(SUFFIX):
            count, head = found
            header = packed.pack_map_header(count - len(ADDED))
            out += body[at:start] + header + body[start + head : end - len(SUFFIX)]
        else:
            out += body[at:end]
        at = end
    return out


@given(st.lists(st.tuples(packed_records, event_times, st.booleans()), min_size=1, max_size=5))
def test_removing_our_fields_gives_back_the_input_bytes(
    rows: list[tuple[dict[object, object], bytes, bool]],
) -> None:
    body = b"".join(entry(*row) for row in rows)
    out = labelled(body)
    assert out.count(SUFFIX) == len(rows)
    assert without_ours(out) == body


@given(packed_records)
def test_messages_are_what_a_msgpack_parser_reads(record: dict[object, object]) -> None:
    batch = CODEC.decode(entry(record))
    value = record.get("log")
    expected = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    others = [record.get(name) for name in FieldSettings().message[1:]]
    if not any(isinstance(other, str | bytes) for other in others):
        is_text = isinstance(expected, str) and not is_blank(expected)
        assert batch.messages == [expected if is_text else None]


@pytest.mark.parametrize("count", [1, 11, 12, 15, 16, 65_531, 65_532, 65_535, 65_536])
def test_member_counts_grow_over_every_header_size(count: int) -> None:
    record = {"log": "a"} | {f"k{i}": i for i in range(count - 1)}
    (back,) = msgpack.Unpacker(io.BytesIO(labelled(entry(record))))
    assert back[1] == record | ADDED
    assert list(back[1])[-4:] == list(ADDED)


@pytest.mark.parametrize(
    "header", [b"\x81", b"\xde\x00\x01", b"\xdf\x00\x00\x00\x01"], ids=["fix", "16", "32"]
)
def test_wider_headers_than_needed_are_understood(header: bytes) -> None:
    body = b"\x92" + TIME + header + msgpack.packb("log") + msgpack.packb("a")
    (back,) = msgpack.Unpacker(io.BytesIO(labelled(body)))
    assert back[1] == {"log": "a"} | ADDED


@pytest.mark.parametrize(
    "time",
    [TIME, b"\xc7\x08\x00" + TIME[2:], b"\xce" + TIME[2:6], msgpack.packb(1_795_210_250.5)],
    ids=["fixext8", "ext8", "uint32", "float"],
)
@pytest.mark.parametrize("is_nested", [True, False])
def test_every_time_and_entry_shape_is_kept(time: bytes, is_nested: bool) -> None:
    body = entry({"log": "a"}, time, is_nested)
    assert without_ours(labelled(body)) == body
    assert CODEC.decode(body).messages == ["a"]


@pytest.mark.parametrize(
    ("record", "reason", "message"),
    [
        ({"log": b"bytes"}, None, "bytes"),
        ({"log": b"\xff"}, None, "\ufffd"),
        ({5: 6, "log": "a"}, None, "a"),
        ({b"k": 1, "log": "a"}, None, "a"),
        ({b"log": "a"}, None, "a"),
        ({"log": 42}, "message_not_a_string", None),
        ({"log": {"a": 1}}, "message_not_a_string", None),
        ({}, "no_message", None),
        ({"label_tier": 1}, "no_message", None),
        ({"log": None, b"k": 1}, "no_message", None),
        ({"label_tier": 1, "log": 7}, "message_not_a_string", None),
        ({"log": "a", "target_label": "Mine"}, "already_labelled", None),
        ("text", "not_an_object", None),
        (7, "not_an_object", None),
        ([1, 2], "not_an_object", None),
    ],
)
def test_odd_records_cost_only_themselves(
    record: object, reason: str | None, message: str | None
) -> None:
    body = entry({"log": "before"}) + entry(record) + entry({"log": "after"})
    batch = CODEC.decode(body)
    assert batch.messages == ["before", message, "after"]
    assert batch.specials[1].reason == reason
    before, after = labelled(entry({"log": "before"})), labelled(entry({"log": "after"}))
    out = labelled(body)
    assert out.startswith(before)
    assert out.endswith(after)
    middle = out[len(before) : -len(after)]
    if reason in ("already_labelled", "not_an_object"):
        assert middle == entry(record)
    else:
        assert isinstance(record, dict)
        got = msgpack.unpackb(middle, strict_map_key=False, unicode_errors="surrogateescape")[1]
        assert got == msgpack.unpackb(msgpack.packb(ADDED | record), strict_map_key=False)


def test_messages_and_sources_are_found_at_every_path() -> None:
    plan = CODEC.plan
    for path in plan.message:
        assert CODEC.decode(entry(at(path, "hello"))).messages == ["hello"]
    for path in plan.source:
        nested = at(path, "billing")
        assert CODEC.decode(entry({"log": "hello"} | nested)).sources == ["billing"]
        assert CODEC.decode(entry({"n": 1} | nested)).sources == ["billing"]
        assert CODEC.decode(entry({"label_tier": 1} | nested)).sources == ["billing"]


def at(path: tuple[str, ...], value: object) -> dict[str, object]:
    for key in reversed(path):
        value = {key: value}
    return value  # type: ignore[return-value]


def test_as_many_records_as_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("waybill.core.batch.MAX_RECORDS", 3)
    monkeypatch.setattr("waybill.wire.msgpack.reader.MAX_RECORDS", 3)
    assert len(CODEC.decode(entry({"log": "x"}) * 3)) == 3
    with pytest.raises(MalformedError, match="too_many_records"):
        CODEC.decode(entry({"log": "x"}) * 4)


def test_a_record_deeper_than_any_library_goes_is_found_and_labelled() -> None:
    deep = (
        b"\x92"
        + TIME
        + b"\x82"
        + msgpack.packb("log")
        + msgpack.packb("x")
        + b"\xa1d"
        + b"\x91" * 100_000
        + b"\x01"
    )
    body = entry({"log": "before"}) + deep + entry({"log": "after"})
    batch = CODEC.decode(body)
    assert batch.messages == ["before", "x", "after"]
    assert without_ours(labelled(body)) == body


def test_invalid_utf8_in_a_string_passes_as_it_is() -> None:
    body = b"\x92" + TIME + b"\x82\xa3log\xa2x\xff\xa1f\xa1\xfe"
    assert CODEC.decode(body).messages == ["x\ufffd"]
    assert without_ours(labelled(body)) == body


@pytest.mark.parametrize("seconds", [0xFFFFFFFF, 0xFFFFFFFE])
def test_group_markers_pass_untouched(seconds: int) -> None:
    marker = entry({"resource": {}, "scope": {}}, struct.pack(">BBII", 0xD7, 0, seconds, 0))
    body = marker + entry({"log": "a"})
    assert {i: special.reason for i, special in CODEC.decode(body).specials.items()} == {
        0: "group_marker"
    }
    assert labelled(body).startswith(marker)


def test_a_stream_cut_at_any_byte_keeps_every_whole_entry() -> None:
    body = entry({"log": "a"}) + entry({"log": "b", "n": [1, {}, None]}) + entry({"log": "c"})
    ends = [packed.value_end(body, 0)]
    ends.append(packed.value_end(body, ends[0]))
    for cut in range(1, len(body)):
        whole = sum(end <= cut for end in ends)
        if not whole:
            with pytest.raises(MalformedError) as caught:
                CODEC.decode(body[:cut])
            assert caught.value.code == "not_msgpack"
            continue
        batch = CODEC.decode(body[:cut])
        assert sum(message is not None for message in batch.messages) == whole
        assert CODEC.splice(batch, [VERDICT] * len(batch)).replace(SUFFIX, b"")[-1] == body[cut - 1]


@pytest.mark.parametrize(
    "body",
    [
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",
        b"\x92",
        b"hello",
        b"\x93\x01\x02\x03",
        b"\xdf" + b"\xff" * 4,
    ],
)
def test_a_body_without_any_event_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedError) as caught:
        CODEC.decode(body)
    assert caught.value.code == "not_msgpack"


#: Each makes the rest of a stream unreadable for readers that do not look for the next event.
BROKEN = {
    "never used": b"\xc1",
    "never used, in a record": b"\x92" + TIME + b"\x82\xa3log\xa1x\xa1a\xc1",
    "never used, beside metadata": b"\x92\x92" + TIME + b"\x80\x81\xa1a\xc1",
    "a map without end": b"\x92" + TIME + b"\xdf\xff\xff\xff\xff\xa3log\xa1x",
    "an array without end": b"\xdd\xff\xff\xff\xff",
    "a text without end": b"\x92" + TIME + b"\x81\xa3log\xdb\x7f\xff\xff\xffabc",
}
TIMES = [
    TIME,
    b"\xce" + b"\x66" * 4,
    b"\xcb" + struct.pack(">d", 1.8e9),
    b"\xc7\x08\x00" + TIME[2:],
]


@pytest.mark.parametrize("is_nested", [False, True])
@pytest.mark.parametrize("time", TIMES, ids=["EventTime", "integer", "double", "long EventTime"])
@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_event_costs_only_itself(broken: bytes, time: bytes, is_nested: bool) -> None:
    good = [entry({"log": text, "v": [{}, None]}, time, is_nested) for text in "abcd"]
    body = broken + good[0] + good[1] + broken + good[2] + broken + good[3]
    batch = CODEC.decode(body)
    assert batch.messages == [None, "a", "b", None, "c", None, "d"]
    assert {special.reason for special in batch.specials.values()} == {"malformed_record"}
    out = CODEC.splice(batch, [VERDICT] * 7)
    assert out.count(SUFFIX) == 4
    records = CODEC.split(batch, [VERDICT] * 7)
    assert [records[i] for i in (0, 3, 5)] == [broken] * 3
    assert b"".join(records) == out


def test_an_event_without_end_is_looked_behind_so_often_only() -> None:
    broken = b"\x92" + TIME + b"\xdf\xff\xff\xff\xff"
    batch = CODEC.decode(entry({"log": "a"}) + broken * 20_000)
    assert batch.messages[0] == "a"
    assert len(batch) < 100


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_decoder(body: bytes) -> None:
    try:
        batch = CODEC.decode(body)
    except MalformedError:
        return
    CODEC.splice(batch, [VERDICT] * len(batch))


def test_relabel_replaces_what_the_record_brought() -> None:
    codec = MsgpackCodec(FieldPlan(FieldSettings(relabel=True)))
    out = labelled(entry({"target_label": "Mine", "log": "a", "z": 1}), codec)
    (back,) = msgpack.Unpacker(io.BytesIO(out))
    assert list(back[1].items()) == [("log", "a"), ("z", 1), *ADDED.items()]


def test_a_rules_extra_field_never_doubles_one_of_the_record() -> None:
    verdict = Verdict("Error", "rule", 1.0, "r", fields={"severity": "Low"})
    batch = CODEC.decode(entry({"log": "a", "severity": "High"}) + entry({"log": "b"}))
    first, second = msgpack.Unpacker(io.BytesIO(CODEC.splice(batch, [verdict] * 2)))
    assert first[1]["severity"] == "High"
    assert len(first[1]) == 6
    assert second[1]["severity"] == "Low"


@pytest.mark.parametrize("members", [0, 1, 10, 11, 12, 15, 16, 65_531, 65_532])
def test_a_map_grows_over_each_border_of_its_header(members: int) -> None:
    """Fixmap holds 15 members, map16 65,535; four are added, and an empty map has no message."""
    record = {f"k{i}": i for i in range(members - 1)} | ({"log": "x"} if members else {})
    body = labelled(entry(record))
    ours = ADDED if members else ADDED | {"label_reason": "no_message"}
    assert msgpack.unpackb(body, strict_map_key=False)[1] == record | {
        k: v for k, v in ours.items() if k in ADDED
    }
    head = packed.map_header(body, packed.value_end(body, 1))
    count = members + len(ADDED)
    assert head == (count, 1 if count <= 15 else 3 if count <= 65_535 else 5)


@pytest.mark.parametrize("head", [b"\x92", b"\xdc\x00\x02", b"\xdd\x00\x00\x00\x02"])
def test_an_entry_may_be_an_array_of_any_header(head: bytes) -> None:
    body = head + TIME + msgpack.packb({"log": "x"})
    batch = CODEC.decode(body)
    assert batch.messages == ["x"]
    out = labelled(body)
    assert out.startswith(head + TIME)
    assert without_ours(out) == body or out.endswith(SUFFIX)


@pytest.mark.parametrize("head", [b"\xdc\x00\x03", b"\xdd\x00\x00\x00\x01"])
def test_an_array_of_another_length_is_no_entry_and_passes(head: bytes) -> None:
    values = [TIME, msgpack.packb({"log": "x"}), b"\xc0"][: head[-1]]
    bad, good = head + b"".join(values), entry({"log": "x"})
    batch = CODEC.decode(good + bad + good)
    assert [batch.specials[i].reason for i in batch.specials] == ["malformed_record"]
    assert labelled(good + bad + good) == labelled(good) + bad + labelled(good)


@pytest.mark.parametrize("head", [b"\xd7\x00", b"\xc7\x08\x00"])
@pytest.mark.parametrize("seconds", [b"\xff\xff\xff\xff", b"\xff\xff\xff\xfe"])
def test_a_group_marker_passes_between_records(head: bytes, seconds: bytes) -> None:
    marker = b"\x92\x92" + head + seconds + b"\x00" * 4 + b"\x80" + msgpack.packb({"resource": "r"})
    good = entry({"log": "x", "source": "s"})
    batch = CODEC.decode(good + marker + good)
    assert [(i, special.reason, special.stop) for i, special in batch.specials.items()] == [
        (1, "group_marker", len(good + marker))
    ]
    assert batch.sources == ["s", "", "s"]
    assert labelled(good + marker + good) == labelled(good) + marker + labelled(good)


def test_an_odd_entry_keeps_its_source_and_its_place() -> None:
    odd = entry({b"\xff": 1, "log": 5, "service": "billing"})
    body = entry({"log": "x"}) + odd + b"\x92\xc0"
    batch = CODEC.decode(body)
    assert batch.sources == ["", "billing", ""]
    assert batch.messages == ["x", None, None]
    assert (batch.specials[1].reason, batch.specials[1].stop) == (
        "message_not_a_string",
        len(body) - 2,
    )
    assert (batch.specials[2].reason, batch.starts[2], batch.specials[2].stop) == (
        "malformed_record",
        len(body) - 2,
        len(body),
    )
    assert isinstance(batch.specials[2], Passed)


def test_an_id_is_added_where_asked_unless_the_record_has_one() -> None:
    codec = MsgpackCodec(FieldPlan(FieldSettings(record_id="id")))
    same, other, own = entry({"log": "x"}), entry({"log": "y"}), entry({"log": "x", "id": 7})
    records = [
        one[1]
        for one in msgpack.Unpacker(
            io.BytesIO(labelled(same + same + other + own, codec)), strict_map_key=False
        )
    ]
    ids = [record["id"] for record in records]
    assert len(set(ids[:3])) == 3
    assert ids[3] == 7
    assert all(isinstance(one, str) for one in ids[:3])
