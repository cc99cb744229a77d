"""Forward framing: every mode, however the bytes arrive, and nothing that a stranger sends hurts."""

from __future__ import annotations

import contextlib
import hashlib
import time
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.effort import allowed
from tests.wire.strategies import event_times, packed_records
from waybill.core.errors import MalformedError
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, Wire
from waybill.wire import forward as protocol
from waybill.wire.compression import compress, decompress
from waybill.wire.forward import AnswerReader, FrameReader, Message
from waybill.wire.msgpack import scan
from waybill.wire.msgpack import scan as packed

CAPTURES = Path(__file__).parent.parent / "data" / "captures"
LIMIT = 1 << 20
OLD = b"\x92" + msgpack.packb(1_795_210_250) + msgpack.packb({"log": "a", "n": 2**63})
NEW = b"\x92\x92\xd7\x00\x6b\x00\x00\x00\x05\xb6\xe8\x92\x80" + msgpack.packb({"log": "b"})
DEEP = b"\x91" * 3000 + b"\xc0"


def raw_message(*parts: bytes) -> bytes:
    """An array of parts that are msgpack already."""
    return bytes((0x90 | len(parts),)) + b"".join(parts)


def read(stream: bytes, step: int | None = None, limit: int = LIMIT) -> list[Message]:
    reader, step = FrameReader(limit), step or max(len(stream), 1)
    return [
        message
        for at in range(0, len(stream), step)
        for message in reader.feed(stream[at : at + step])
    ]


def one(*parts: bytes) -> Message:
    stream = raw_message(*parts)
    (message,) = read(stream)
    (again,) = read(stream, 1)
    assert message == again
    return message


def pack(value: Any) -> bytes:
    return bytes(msgpack.packb(value))


TAG = pack("kube.pod")


# -- modes
# --------------------------------------------------------------------------------------------


def test_message_mode() -> None:
    assert one(TAG, OLD[1:6], OLD[6:]) == Message("kube.pod", OLD)


def test_message_mode_takes_its_metadata_from_the_options() -> None:
    message = one(TAG, NEW[2:12], NEW[13:], pack({"metadata": {"k": 1}, "chunk": "c"}))
    assert message.entries == b"\x92\x92" + NEW[2:12] + pack({"k": 1}) + NEW[13:]
    assert message.chunk == pack("c")


@pytest.mark.parametrize("head", [b"\x92", b"\xdc\x00\x02", b"\xdd\x00\x00\x00\x02"])
def test_forward_mode(head: bytes) -> None:
    assert one(TAG, head + OLD + NEW).entries == OLD + NEW
    assert one(TAG, head + OLD + NEW, pack({"size": 2})).entries == OLD + NEW


@pytest.mark.parametrize("use_bin_type", [True, False])
def test_packed_forward(use_bin_type: bool) -> None:
    body = msgpack.packb(OLD + NEW + b"\xff", use_bin_type=use_bin_type)
    assert one(TAG, body).entries == OLD + NEW + b"\xff"
    assert one(TAG, body, pack({"size": 2, "chunk": "c"})).entries == OLD + NEW + b"\xff"


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_compressed_packed_forward(encoding: str) -> None:
    message = one(TAG, pack(compress(OLD, encoding)), pack({"compressed": encoding}))
    assert decompress(message.entries, message.encodings, LIMIT) == OLD


@pytest.mark.parametrize("body", [[], b"", ""])
def test_an_empty_message_is_a_message(body: object) -> None:
    assert one(TAG, pack(body), pack({"chunk": "c", "compressed": "gzip"})).entries == b""
    assert one(TAG, pack(body)).encodings == ()


@pytest.mark.parametrize("name", ["text", "", None])
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
        found += list(reader.feed(stream[at : at + step]))
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
    messages = reader.feed(raw_message(TAG, pack(OLD)) + b"\xc1")
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


# -- what a client sends
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["none", "gzip"])
def test_our_own_message_is_read_back(encoding: str) -> None:
    stream, chunk = protocol.pack_message(
        "labelled.app", compress(OLD + NEW, encoding), 2, encoding
    )
    (message,) = read(stream)
    assert (message.tag, message.chunk) == ("labelled.app", chunk)
    assert decompress(message.entries, message.encodings, LIMIT) == OLD + NEW
    assert msgpack.unpackb(stream)[2]["size"] == 2
    assert protocol.is_ack(message.ack, chunk)


def test_each_message_has_a_chunk_of_its_own() -> None:
    assert len({protocol.pack_message("t", b"", 0, "none")[1] for _ in range(100)}) == 100


CHUNK = pack("c")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"ack": "other"},
        {"ack": None},
        {"ack": "c", b"ack": "d"},
        {"nak": "c"},
        "c",
        ["ack", "c"],
        None,
    ],
)
def test_only_our_own_chunk_is_an_ack(answer: object) -> None:
    assert not protocol.is_ack(pack(answer), CHUNK)


def test_an_ack_may_be_bin() -> None:
    assert protocol.is_ack(pack({"ack": b"c"}), CHUNK)
    assert protocol.is_ack(pack({b"ack": "c", "more": 1}), CHUNK)


def test_an_answer_is_collected_and_stands_alone() -> None:
    answer = pack({"ack": "c"})
    reader = AnswerReader()
    assert [reader.feed(answer[i : i + 1]) for i in range(len(answer))] == [None] * (
        len(answer) - 1
    ) + [answer]
    for junk in (answer + answer, answer + b"\x81", b"\xc1", DEEP, pack("x" * 99_999)):
        with pytest.raises(ValueError):
            AnswerReader().feed(junk)


# -- handshake
# ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client_key", "is_known"), [(b"secret", True), (b"Secret", False), (b"", False)]
)
def test_the_handshake_proves_the_key_both_ways(client_key: bytes, is_known: bool) -> None:
    greeting = protocol.helo(b"0123456789abcdef")
    ping, check = protocol.ping(greeting, "client", client_key)
    answer, is_accepted = protocol.pong(ping, b"0123456789abcdef", "server", b"secret")
    assert is_accepted is is_known
    assert protocol.is_pong(answer, check, client_key) is is_known


def test_the_digests_are_those_of_the_protocol() -> None:
    nonce = bytes(range(0xF0, 0x100))
    greeting = msgpack.packb(["HELO", {"nonce": nonce, "auth": b"salty", "keepalive": True}])
    ping, _ = protocol.ping(greeting, "client", b"secret")
    kind, host, salt, digest, user, password = msgpack.unpackb(ping)
    assert (kind, host, user) == ("PING", "client", "")
    assert digest == hashlib.sha512(salt.encode() + b"client" + nonce + b"secret").hexdigest()
    assert password == hashlib.sha512(b"salty").hexdigest()
    answer = msgpack.unpackb(protocol.pong(ping, nonce, "server", b"secret")[0])
    assert answer[:4] == ["PONG", True, "", "server"]
    assert answer[4] == hashlib.sha512(salt.encode() + b"server" + nonce + b"secret").hexdigest()


def test_a_refused_client_learns_no_digest() -> None:
    ping, _ = protocol.ping(protocol.helo(b"n" * 16), "client", b"wrong")
    answer, _ = protocol.pong(ping, b"n" * 16, "server", b"secret")
    assert msgpack.unpackb(answer) == ["PONG", False, "shared key mismatch", "server", ""]


def test_an_empty_key_lets_nobody_in() -> None:
    ping, _ = protocol.ping(protocol.helo(b"n" * 16), "client", b"")
    assert protocol.pong(ping, b"n" * 16, "server", b"")[1] is False


def test_a_server_that_says_yes_without_the_key_is_not_believed() -> None:
    _, check = protocol.ping(protocol.helo(b"n" * 16), "client", b"secret")
    assert not protocol.is_pong(pack(["PONG", True, "", "server", "0" * 128]), check, b"secret")


JUNK = [
    b"",
    b"\xc1",
    b"\xc0",
    b"\x96\xa4PING\x81\x90\xc0\xc0\xc0\xc0\xc0",
    b"\x92\xa4HELO\x81\x90\xc0",
    DEEP,
] + [
    pack(part)
    for part in (
        ["HELO", {}],
        ["HELO", 1],
        ["OLEH", {"nonce": b"n"}],
        ["HELO", {"nonce": 1}],
        ["PING", 1, 2, 3, 4, 5],
        ["PING", "h", "s", "d"],
        ["PONG", True, "", None, "x"],
        ["PONG", True, "", "h", None],
        {"PONG": 1},
    )
]


@pytest.mark.parametrize("data", JUNK)
def test_what_is_no_handshake_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        protocol.ping(data, "w", b"k")
    with pytest.raises(ValueError):
        protocol.pong(data, b"n", "w", b"k")
    with pytest.raises(ValueError):
        protocol.is_pong(data, b"s\0n", b"k")


def test_what_lies_deep_may_be_wide() -> None:
    """A step in Python for each of two million values would take a second and more."""
    wide = b"\xdd" + (2_000_000).to_bytes(4, "big") + b"\xc0" * 2_000_000
    stream = raw_message(TAG, b"\x01", b"\x81\xa1a" + b"\x91" * 3000 + wide)
    begin = time.process_time()
    (message,) = read(stream, len(stream))
    assert time.process_time() - begin < allowed(0.1)
    assert message.entries.endswith(wide)
    assert scan.value_end(message.entries, 0) == len(message.entries)
