"""The client's side of Forward: messages, acknowledgements, the handshake."""

from __future__ import annotations

import hashlib
import time

import msgpack
import pytest

from tests.effort import allowed
from tests.wire.forward_rig import DEEP, LIMIT, NEW, OLD, TAG, pack, raw_message, read
from waybill.wire import forward as protocol
from waybill.wire.compression import compress, decompress
from waybill.wire.forward import AnswerReader
from waybill.wire.msgpack import scan

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
