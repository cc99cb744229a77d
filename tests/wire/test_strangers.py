"""What speaks on the wrong port is told by its first bytes."""

from __future__ import annotations

import ssl

import msgpack
import pytest

from waybill.core.names import Ingest
from waybill.wire.strangers import FIRST_BYTES, advice


def client_hello() -> bytes:
    """What a TLS client says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="waybill")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


FORWARD = msgpack.packb(["app", [[1, {"log": "a"}]]])
STRANGERS = [
    (client_hello(), "TLS"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2"),
    (b"<34>1 2026-01-01T00:00:00Z host app - - - text", "syslog"),
    (b"51 <34>Jan  1 00:00:00 host app: text", "syslog"),
    (b"2W\x00\x00\x00\x01", "Beats"),
    (b'{"log":"a"}\n', "JSON"),
    (b'[{"log":"a"}]', "JSON"),
]


@pytest.mark.parametrize("door", ["http", "forward"])
@pytest.mark.parametrize(("first", "spoken"), STRANGERS)
def test_a_stranger_is_known_by_its_first_bytes(first: bytes, spoken: str, door: Ingest) -> None:
    told = advice(first[:FIRST_BYTES], door)
    assert told.startswith("the sender speaks ")
    assert spoken in told


def test_each_listener_knows_what_the_other_one_takes() -> None:
    assert "forward.listen" in advice(FORWARD, "http")
    assert "http.listen" in advice(b"POST /v1/label HTTP/1.1\r\n", "forward")
    assert "forward.tls" in advice(client_hello(), "forward")


@pytest.mark.parametrize(
    ("first", "door"),
    [(FORWARD, "forward"), (b"POST / HTTP/1.1\r\n", "http"), (b"", "http"), (b"\x00\xff", "http")],
)
def test_of_its_own_and_of_what_nobody_knows_a_listener_says_nothing(
    first: bytes, door: Ingest
) -> None:
    assert advice(first, door) == ""


@pytest.mark.parametrize("size", range(FIRST_BYTES))
def test_any_cut_of_the_first_bytes_is_taken(size: int) -> None:
    for first, spoken in STRANGERS:
        told = advice(first[:size], "http")
        assert told == "" or spoken in told
