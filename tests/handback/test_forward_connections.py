"""Connections of the Forward handback, and secrets on them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from pathlib import Path

import msgpack
import pytest
import trustme

from tests.handback.forward_rig import (
    VERDICT,
    WIRE,
    Receiver,
    body,
    entry,
    failing,
    pushing,
)
from tests.patience import patience, until
from tests.support.streams import StreamServer
from waybill.handback import forward_pool
from waybill.handback import push as handback_push
from waybill.handback.forward import ForwardHandback
from waybill.settings.schema import ReturnSettings, ReturnTlsSettings

pytestmark = pytest.mark.usefixtures("impatience")

KEY = b"secret"


# -- connections
# --------------------------------------------------------------------------------------


async def test_a_receiver_that_is_not_there() -> None:
    assert await failing("forward://127.0.0.1:1") == "connect"
    assert await failing("forward+unix:///nowhere/at/all") == "connect"
    assert await failing("forward://" + "x" * 70 + ".invalid:1") == "connect"


async def test_a_receiver_that_comes_late_gets_everything(receiver: Receiver) -> None:
    port = int(receiver.url.rsplit(":", 1)[1])
    await receiver.stop()
    async with pushing(receiver.url, timeout_secs=20) as push:
        pushed = asyncio.create_task(push(body("a")))
        await asyncio.sleep(0.05)
        await receiver.start(("127.0.0.1", port))
        await pushed
    assert receiver.logs == ["a"]


async def test_a_restarted_receiver_costs_no_waiting(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(receiver.url.rsplit(":", 1)[1])
    monkeypatch.setattr(handback_push, "RETRY_SECS", 60)
    async with pushing(receiver.url) as push:
        await asyncio.gather(push(body("a")), push(body("b")))
        await receiver.stop()
        await receiver.start(("127.0.0.1", port))
        await push(body("c"))
    assert receiver.logs[2:] == ["c"]


async def test_a_pooled_connection_that_breaks_under_a_frame_is_replaced_at_once(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handback_push, "RETRY_SECS", 60)
    async with pushing(receiver.url) as push:
        await push(body("a"))
        receiver.answer = lambda message: None if len(receiver.frames) == 2 else message.ack
        await push(body("b"))
    assert (receiver.logs, receiver.connections) == (["a", "b", "b"], 2)


async def test_a_connection_idle_for_too_long_is_not_used(receiver: Receiver) -> None:
    async with pushing(receiver.url, idle_secs=1e-9) as push:
        await push(body("a"))
        await push(body("b"))
    assert receiver.connections == 2


async def test_a_receiver_that_does_not_read_gets_no_more_once_it_was_given_up() -> None:
    size, loop = 20_000_000, asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"forward://127.0.0.1:{listener.getsockname()[1]}"
        assert await failing(url, entry("x" * size), max_bytes=1 << 30) == "timeout"
        connection, _ = await loop.sock_accept(listener)
        with connection:
            received = 0
            with contextlib.suppress(ConnectionResetError):
                async with patience():
                    while data := await loop.sock_recv(connection, 1 << 20):
                        received += len(data)
    assert received < size


async def test_a_cancelled_push_leaves_no_connection_behind(receiver: Receiver) -> None:
    receiver.answer = lambda message: b"" if len(receiver.frames) == 1 else message.ack
    async with pushing(receiver.url) as push:
        pushed = asyncio.create_task(push(body("a")))
        await until(lambda: receiver.frames)
        pushed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pushed
        await until(lambda: not receiver.open)
        await push(body("b"))
    assert receiver.connections == 2


async def test_close_closes_what_is_idle_and_what_is_given_back(receiver: Receiver) -> None:
    answering = asyncio.Event()
    handback = ForwardHandback(ReturnSettings(type="forward", url=receiver.url))
    codec, batch = WIRE.decode(body("a"))
    await handback.hand_back(codec, batch, [VERDICT])
    receiver.answer = lambda message: answering.set() or b""  # type: ignore[func-returns-value]
    under_way = asyncio.create_task(handback.hand_back(codec, batch, [VERDICT]))
    await answering.wait()
    await handback.close()
    (writer,) = receiver.open
    writer.write(receiver.frames[-1].ack)
    await under_way
    await until(lambda: not receiver.open)


async def test_the_clock_of_the_day_does_not_matter(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pushing(receiver.url) as push:
        await push(body("a"))
        monkeypatch.setattr(time, "time", lambda: 0.0)
        await push(body("b"))
    assert receiver.connections == 1


# -- secrets
# ------------------------------------------------------------------------------------------


async def test_a_receiver_with_another_shared_key_gets_nothing(
    receiver: Receiver, tmp_path: Path
) -> None:
    key_file = tmp_path / "key"
    key_file.write_bytes(KEY + b"\n")
    receiver.key = KEY
    async with pushing(receiver.url, shared_key_file=str(key_file)) as push:
        await push(body("a"))
    assert receiver.logs == ["a"]
    receiver.key = b"other"
    assert await failing(receiver.url, shared_key_file=str(key_file)) == "handshake"
    assert receiver.logs == ["a"]


GREETINGS = [
    b"",
    b"\xc1",
    b"\x80",
    b"\x92\xa4HELO\x81\x90\xc0",
    bytes(msgpack.packb(["HELO", {"nonce": None}])),
]


@pytest.mark.parametrize("greeting", GREETINGS)
@pytest.mark.parametrize("is_open", [True, False])
async def test_a_receiver_that_does_not_shake_hands(
    greeting: bytes, is_open: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        if is_open:
            with contextlib.suppress(OSError):
                await reader.read()
        writer.transport.abort()

    monkeypatch.setattr(forward_pool, "_HANDSHAKE_SECS", 0.05)
    (tmp_path / "key").write_bytes(KEY)
    server = StreamServer(serve)
    url = f"forward://127.0.0.1:{await server.start()}"
    assert await failing(url, shared_key_file=str(tmp_path / "key")) == "handshake"
    await server.stop()


async def test_tls_is_spoken_with_the_given_authority(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    receiver = Receiver()
    await receiver.start(context=context)
    tls = ReturnTlsSettings(enabled=True, ca_file=str(tmp_path / "ca.pem"))
    async with pushing(receiver.url, tls=tls) as push:
        await push(body("a"))
        await push(body("b"))
    assert (receiver.logs, receiver.connections) == (["a", "b"], 1)
    assert await failing(receiver.url, tls=ReturnTlsSettings(enabled=True)) == "connect"
    assert await failing(receiver.url) in ("closed", "ack_mismatch", "timeout")
    await receiver.stop()
