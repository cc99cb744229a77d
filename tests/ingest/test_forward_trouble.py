"""A Forward listener in trouble: pressure, bodies that nobody can read, peers that vanish."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import msgpack
import pytest

from tests.ingest.forward_rig import entry, message, serving, talking
from tests.patience import until
from waybill.ingest.forward import server, sockets
from waybill.settings.schema import (
    LimitSettings,
)
from waybill.wire import forward as protocol
from waybill.wire.compression import compress

pytestmark = pytest.mark.usefixtures("impatience")


async def test_no_ack_when_the_handback_fails() -> None:
    async with serving() as rig:
        rig.handback.failures = 1
        async with talking(rig) as client:
            client.send(message("a", chunk="c"), message("b", chunk="d"))
            assert await client.answer() is None
        assert rig.handback.got == []
        assert rig.refused("connect") == 1
        async with talking(rig) as client:
            client.send(message("a", chunk="c"))
            assert await client.answer() == {"ack": "c"}


async def test_who_asks_for_no_ack_gets_pressure_and_loses_nothing() -> None:
    async with serving(LimitSettings(body_bytes=1 << 20)) as rig:
        async with talking(rig) as client:
            client.writer.transport.set_write_buffer_limits(0)
            rig.handback.failures = 10**9
            sent = 0
            with contextlib.suppress(TimeoutError):  # TCP takes no more
                while sent < 4000:
                    client.send(message(f"{sent} " + "x" * 50_000))
                    sent += 1
                    async with asyncio.timeout(0.3):
                        await client.writer.drain()
            assert 1 < sent < 4000
            assert rig.inflight.bytes < 100_000
            rig.handback.failures = 0
            await client.writer.drain()
            await until(lambda: len(rig.handback.got) == sent)
        assert [str(log).split()[0] for log in rig.handback.logs] == [str(i) for i in range(sent)]


async def test_who_asks_for_no_ack_may_leave_before_the_receiver_is_back() -> None:
    async with serving() as rig:
        rig.handback.failures = 20
        async with talking(rig) as client:
            client.send(message("a"), message("b"))
        await until(lambda: rig.handback.logs == ["a", "b"])


async def test_overload_closes_without_an_ack() -> None:
    async with (
        serving(LimitSettings(body_bytes=1000, inflight_bytes=1000)) as rig,
        talking(rig) as client,
    ):
        with rig.inflight.hold() as grow:
            grow(1000)
            client.send(message("a", chunk="c"))
            assert await client.answer() is None
        assert rig.refused("inflight_bytes") == 1


async def test_who_asks_for_no_ack_waits_for_room() -> None:
    async with (
        serving(LimitSettings(body_bytes=1000, inflight_bytes=1000)) as rig,
        talking(rig) as client,
    ):
        with rig.inflight.hold() as grow:
            grow(1000)
            client.send(message("a"))
            await until(lambda: rig.refused("inflight_bytes") > 2)
            assert rig.handback.got == []
        await until(lambda: rig.handback.logs == ["a"])


UNREADABLE = bytes(msgpack.packb(["app", b"\xc1\xc1", {"chunk": "c"}]))
TORN = bytes(msgpack.packb(["app", b"\x1f\x8b torn", {"chunk": "c", "compressed": "gzip"}]))


@pytest.mark.parametrize("data", [UNREADABLE, TORN])
async def test_what_nobody_can_read_is_acknowledged_once_it_is_kept(
    data: bytes, tmp_path: Path
) -> None:
    async with serving(letters=tmp_path) as rig, talking(rig) as client:
        client.send(data)
        assert await client.answer() == {"ack": "c"}
        assert len(list(tmp_path.glob("*.body"))) == 1


async def test_what_nobody_can_read_or_keep_stays_its_clients() -> None:
    async with serving() as rig, talking(rig) as client:
        client.send(UNREADABLE)
        assert await client.answer() is None
        assert rig.refused("not_msgpack") == 1


async def test_what_nobody_can_read_or_send_again_does_not_stop_the_rest() -> None:
    async with serving() as rig, talking(rig) as client:
        client.send(msgpack.packb(["app", b"\xc1"]), message("b", chunk="c"))
        assert await client.answer() == {"ack": "c"}
        assert rig.handback.logs == ["b"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "malformed_frame"),
        (b"\xc1", "malformed_frame"),
        (b"\x92\xa1t\xdd\xff\xff\xff\xff", "too_large"),
        (b"\x92\xa1t\xc6\xff\xff\xff\xff" + bytes(5000), "too_large"),
        (msgpack.packb(["t", b"", {"fluent_signal": 1, "chunk": "c"}]), "unsupported_signal"),
        (msgpack.packb(["t", b"", {"compressed": "lz4", "chunk": "c"}]), "unsupported_encoding"),
    ],
)
async def test_a_broken_stream_is_closed_and_counted_once(data: bytes, reason: str) -> None:
    async with serving(LimitSettings(body_bytes=4096)) as rig, talking(rig) as client:
        client.send(message("a", chunk="c"), data)
        assert await client.answer() == {"ack": "c"}
        assert await client.answer() is None
        assert rig.refused(reason) == 1


async def test_too_much_after_inflation_is_refused() -> None:
    body = protocol.pack_message("t", compress(bytes(100_000), "gzip"), 1, "gzip")[0]
    async with serving(LimitSettings(body_bytes=4096)) as rig, talking(rig) as client:
        client.send(body)
        assert await client.answer() is None
        assert rig.refused("too_large") == 1


async def test_a_fault_of_ours_ends_one_connection(tmp_path: Path) -> None:
    async with serving(letters=tmp_path) as rig:
        rig.handback.failures, rig.handback.error = 2, ZeroDivisionError()
        for data in (message("a", chunk="c"), message("b")):
            async with talking(rig) as client:
                client.send(data)
                assert await client.answer() is None
        assert rig.refused("internal") == 2
        (kept,) = tmp_path.glob("*.body")
        assert kept.read_bytes() == entry("b")
        async with talking(rig) as client:
            client.send(message("a", chunk="c"))
            assert await client.answer() == {"ack": "c"}


async def test_a_client_that_vanishes_is_forgotten() -> None:
    async with serving() as rig:
        async with talking(rig) as client:
            client.send(message("a", chunk="c")[:-5])
            await until(lambda: rig.connections() == 1)
            client.writer.transport.abort()
        await until(lambda: rig.connections() == 0)


async def test_half_open_connections_are_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[socket.socket] = []
    keep_alive = sockets.keep_alive

    def spy(writer: asyncio.StreamWriter) -> None:
        keep_alive(writer)
        seen.append(writer.get_extra_info("socket"))

    monkeypatch.setattr(server, "keep_alive", spy)
    async with serving() as rig, talking(rig) as client:
        client.send(message("a", chunk="c"))
        await client.answer()
        assert seen[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert seen[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
