"""Msgpack without times, and in a list: as other senders than Fluent Bit write it."""

from __future__ import annotations

import io
import struct

import msgpack
import pytest

from tests.wire.test_msgpack import ADDED, CODEC, VERDICT, entry, labelled
from waybill.wire import Wire
from waybill.wire.convert.to_msgpack import EntryForm
from waybill.wire.rendered import render

RECORDS: list[dict[str, object]] = [{"log": text, "n": [1, {}, None]} for text in "abc"]
PACKED = [msgpack.packb(record) for record in RECORDS]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(
    "pieces", [PACKED, [entry(one) for one in RECORDS], [entry(one, is_nested=False) for one in RECORDS]]
)  # fmt: skip
@pytest.mark.parametrize("head", [b"", b"\x9f", b"\xdc\x00%c", b"\xdd\x00\x00\x00%c"])
def test_records_come_without_a_time_and_in_a_list(
    head: bytes, pieces: list[bytes], count: int
) -> None:
    head = head % count if b"%" in head else head and bytes((0x90 | count,))
    body = head + b"".join(pieces[:count])
    batch = CODEC.decode(body)
    assert batch.messages == list("abc"[:count])
    records = CODEC.split(batch, [VERDICT] * count)
    assert labelled(body) == head + b"".join(records)
    assert records == [labelled(piece) for piece in pieces[:count]]
    assert [event.record for event in CODEC.events(batch, [VERDICT] * count)] == [
        record | ADDED for record in RECORDS[:count]
    ]


@pytest.mark.parametrize("metadata", [True, False])
def test_what_is_pushed_has_a_time(metadata: bool) -> None:
    batch = CODEC.decode(b"\x93" + b"".join(PACKED))
    form = EntryForm(metadata=metadata)
    sent = render(CODEC, batch, [VERDICT] * 3, form, lambda: 1e9).encode(0, 3)
    time = msgpack.ExtType(0, struct.pack(">II", 10**9, 0))
    assert list(msgpack.Unpacker(io.BytesIO(sent))) == [[time, one | ADDED] for one in RECORDS]


@pytest.mark.parametrize("content_type", ["", "application/octet-stream", "application/x-msgpack"])
def test_what_msgpack_begins_like_is_known_without_a_name(content_type: str) -> None:
    wire = Wire(CODEC.plan)
    for body in (b"".join(PACKED), b"\x93" + b"".join(PACKED), entry(RECORDS[0])):
        codec, batch = wire.decode(body, content_type)
        assert codec is wire.msgpack
        assert batch.messages[0] == "a"


@pytest.mark.parametrize(
    "text", [b"\xdcbertragung", b"\x92zitiert\x91", b"\xdd \xde", b"\x81\xa1x"]
)
def test_text_may_begin_as_msgpack_does(text: bytes) -> None:
    _, batch = Wire(CODEC.plan).decode(text + b"\nb\n", "text/plain")
    assert batch.messages[1:] == ["b"]
