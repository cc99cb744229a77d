"""Forward framing: every mode, however the bytes arrive, and nothing that a stranger sends hurts."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.forward_rig import DEEP, LIMIT, NEW, OLD, TAG, pack, raw_message, read
from tests.wire.strategies import event_times, packed_records
from waybill.core.errors import MalformedError
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, Wire
from waybill.wire.compression import compress, decompress
from waybill.wire.forward import FrameReader, Message
from waybill.wire.msgpack import scan as packed

CAPTURES = Path(__file__).parent.parent / "data" / "captures"


def one(*parts: bytes) -> Message:
    stream = raw_message(*parts)
    (message,) = read(stream)
    (again,) = read(stream, 1)
    assert message == again
    return message


# -- modes
# --------------------------------------------------------------------------------------------


def test_message_mode_gives_one_entry() -> None:
    assert one(TAG, OLD[1:6], OLD[6:]) == Message("kube.pod", OLD)


def test_message_mode_takes_its_metadata_from_the_options() -> None:
    message = one(TAG, NEW[2:12], NEW[13:], pack({"metadata": {"k": 1}, "chunk": "c"}))
    assert message.entries == b"\x92\x92" + NEW[2:12] + pack({"k": 1}) + NEW[13:]
    assert message.chunk == pack("c")


@pytest.mark.parametrize("head", [b"\x92", b"\xdc\x00\x02", b"\xdd\x00\x00\x00\x02"])
def test_forward_mode_gives_the_entries_of_its_array(head: bytes) -> None:
    assert one(TAG, head + OLD + NEW).entries == OLD + NEW
    assert one(TAG, head + OLD + NEW, pack({"size": 2})).entries == OLD + NEW


@pytest.mark.parametrize("use_bin_type", [True, False])
def test_packed_forward_gives_its_entries_as_they_are(use_bin_type: bool) -> None:
    body = msgpack.packb(OLD + NEW + b"\xff", use_bin_type=use_bin_type)
    assert one(TAG, body).entries == OLD + NEW + b"\xff"
    assert one(TAG, body, pack({"size": 2, "chunk": "c"})).entries == OLD + NEW + b"\xff"


@pytest.mark.parametrize("name", ["gzip", "zstd", "GZIP"])
def test_compressed_packed_forward_tells_its_encoding(name: str) -> None:
    message = one(TAG, pack(compress(OLD, name.lower())), pack({"compressed": name}))
    assert decompress(message.entries, message.encodings, LIMIT) == OLD


@pytest.mark.parametrize("body", [[], b"", ""])
def test_an_empty_message_is_a_message(body: object) -> None:
    assert one(TAG, pack(body), pack({"chunk": "c", "compressed": "gzip"})).entries == b""
    assert one(TAG, pack(body)).encodings == ()


@pytest.mark.parametrize("name", ["text", "", None, "none", "Text"])
def test_text_is_not_compressed(name: str | None) -> None:
    assert one(TAG, pack(OLD), pack({"compressed": name})).encodings == ()


@pytest.mark.parametrize(
    "chunk", [b"\xa1c", b"\xd9\x01c", b"\xc4\x01\xff", b"\xc5\x00\x01c", b"\x07"]
)
def test_an_ack_echoes_the_chunk_as_it_came(chunk: bytes) -> None:
    message = one(TAG, pack(OLD), b"\x81\xa5chunk" + chunk)
    assert message.ack == b"\x81\xa3ack" + chunk


@pytest.mark.parametrize("options", [{}, {"chunk": None}, {"size": 1}, None])
def test_without_a_chunk_no_ack_is_asked_for(options: object) -> None:
    assert one(TAG, pack(OLD), pack(options)).chunk is None


def test_logs_are_signal_0_in_any_width() -> None:
    for zero in (b"\x00", b"\xcc\x00", b"\xcd\x00\x00", b"\xd3" + bytes(8)):
        assert one(TAG, pack(OLD), b"\x81\xadfluent_signal" + zero).entries == OLD


@pytest.mark.parametrize("signal", [1, 2, 256, -1, None, "logs"])
def test_other_signals_are_refused(signal: object) -> None:
    with pytest.raises(MalformedError) as caught:
        read(raw_message(TAG, pack(OLD), pack({"fluent_signal": signal})))
    assert caught.value.code == "unsupported_signal"


@pytest.mark.parametrize(
    "name", ["fluentbit_forward_ack", "fluentbit_forward_ack_gzip", "fluentbit_forward_packed"]
)
@pytest.mark.parametrize("step", [None, 1, 7])
def test_what_a_real_fluent_bit_sent(name: str, step: int | None) -> None:
    wire = Wire(FieldPlan(FieldSettings()))
    expected = (CAPTURES / "input.ndjson").read_bytes().count(b"\n")
    records = 0
    for message in read((CAPTURES / f"{name}.forward").read_bytes(), step):
        assert (message.chunk is not None) == ("_ack" in name)
        assert bool(message.encodings) == ("gzip" in name)
        body = decompress(message.entries, message.encodings, LIMIT)
        records += len(wire.decode(body, "application/msgpack", message.tag)[1])
    assert records == expected


# -- arrival
# ------------------------------------------------------------------------------------------


def test_a_deep_record_is_framed_wherever_it_is_cut() -> None:
    deep = b"\x92\x01\x81\xa1a" + DEEP
    stream = raw_message(TAG, b"\x92" + deep + OLD, pack({"chunk": "c"})) + raw_message(
        TAG, pack(NEW)
    )
    for step in (None, 1, 1000):
        assert [message.entries for message in read(stream, step)] == [deep + OLD, NEW]


def test_a_heartbeat_is_no_message() -> None:
    assert [
        message.entries for message in read(b"\xc0" + raw_message(TAG, pack(OLD)) + b"\xc0\xc0", 1)
    ] == [OLD]


ENTRIES = st.lists(
    st.tuples(event_times, packed_records).map(lambda pair: b"\x92" + pair[0] + pack(pair[1])),
    max_size=4,
)


@given(
    st.lists(
        st.tuples(
            ENTRIES, st.sampled_from(["list", "bin", "str", "single", "gzip"]), st.booleans()
        ),
        max_size=4,
    ),
    st.lists(st.integers(1, 60), min_size=1, max_size=30),
)
def test_messages_come_out_whole_however_they_are_cut(
    messages: list[tuple[list[bytes], str, bool]], steps: list[int]
) -> None:
    stream, expected = b"", []
    for entries, mode, has_chunk in messages:
        joined, options = b"".join(entries), {"chunk": "c"} if has_chunk else {}
        if mode == "list":
            body = b"\xdc" + len(entries).to_bytes(2, "big") + joined
        elif mode == "gzip":
            joined = compress(joined, "gzip")
            body, options = pack(joined), options | {"compressed": "gzip"}
        elif mode == "single" and entries:
            joined = entries[0]
            body = joined[1:]
        else:
            body = msgpack.packb(joined, use_bin_type=mode != "str")
        parts = 4 if mode == "single" and entries else 3
        stream += bytes((0x90 | parts,)) + TAG + body + pack(options)
        expected.append((joined, has_chunk))
    reader, found, at, i = FrameReader(LIMIT), [], 0, 0
    while at < len(stream):
        step = steps[i % len(steps)]
        found += list(filter(None, reader.feed(stream[at : at + step])))
        at, i = at + step, i + 1
    assert [(message.entries, message.chunk is not None) for message in found] == expected


# -- strangers
# ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stream",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"\xc1",
        b"\x80",
        b"\xc6\xff\xff\xff\xff",
        b"\x90",
        raw_message(TAG),
        raw_message(TAG, pack(1)),
        raw_message(pack(1), pack(OLD)),
        raw_message(TAG, pack(OLD), pack({}), pack({}), pack({})),
        raw_message(TAG, pack(OLD), pack("options")),
        raw_message(TAG, b"\x91\x92\x01\xc1"),
        raw_message(TAG, b"\x91" + DEEP[:-1] + b"\xc1"),
        b"\xdd\xff\xff\xff\xff",
    ],
)
def test_what_is_no_message_is_refused_at_once(stream: bytes) -> None:
    for step in (None, 1):
        with pytest.raises(MalformedError) as caught:
            read(stream, step)
        assert caught.value.code == "malformed_frame"


def test_messages_before_a_broken_one_are_given() -> None:
    reader = FrameReader(LIMIT)
    messages = filter(None, reader.feed(raw_message(TAG, pack(OLD)) + b"\xc1"))
    assert next(messages).entries == OLD
    with pytest.raises(MalformedError):
        next(messages)


def test_an_unknown_compression_is_refused() -> None:
    with pytest.raises(MalformedError) as caught:
        read(raw_message(TAG, pack(OLD), pack({"compressed": "lz4"})))
    assert caught.value.code == "unsupported_encoding"


def test_four_billion_entries_are_refused_by_their_number() -> None:
    with pytest.raises(MalformedError) as caught:
        read(b"\x92" + TAG + b"\xdd\xff\xff\xff\xff")
    assert caught.value.code == "too_large"


@pytest.mark.parametrize(
    "head", [b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff"]
)
def test_what_announces_four_gigabytes_is_read_up_to_the_limit(head: bytes) -> None:
    reader = FrameReader(10_000)
    assert list(reader.feed(b"\x92" + TAG + head)) == []
    for _ in range(9):
        assert list(reader.feed(bytes(1000))) == []
    with pytest.raises(MalformedError) as caught:
        list(reader.feed(bytes(1000)))
    assert caught.value.code == "too_large"


def test_a_deep_message_is_not_walked_again_for_each_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, header = [0], packed.header

    def counted(data: bytes, at: int) -> tuple[int, int, int]:
        calls[0] += 1
        return header(data, at)

    monkeypatch.setattr(packed, "header", counted)
    size = 20_000
    stream = raw_message(TAG, b"\x91\x92" + DEEP + b"\xdd" + size.to_bytes(4, "big") + bytes(size))
    pieces = len(stream) // 100 + 1
    assert len(read(stream, 100)) == 1
    assert calls[0] < len(stream) + pieces + 50


def test_a_list_of_what_are_no_entries_is_still_a_list() -> None:
    assert one(TAG, pack(["a", "b"])).entries == pack("a") + pack("b")


@given(st.binary(max_size=60))
def test_junk_never_raises_anything_else(data: bytes) -> None:
    for stream in (data, b"\x93" + TAG + data, raw_message(TAG, pack(OLD)) + data):
        with contextlib.suppress(MalformedError):
            read(stream, 5)


def test_a_large_message_is_copied_in_turns() -> None:
    """To copy 60 MB at once holds everybody up for 30 ms, beside what else is done with it."""
    record = {"log": "x" * (20 << 20)}
    reader = FrameReader(64 << 20)
    found = list(reader.feed(raw_message(TAG, pack(1), pack(record), pack({"chunk": "c"}))))
    assert found[-1] is not None
    assert found[-1].entries == b"\x92\x01" + pack(record)
    assert found[:-1] == [None] * 5
