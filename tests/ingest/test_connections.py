"""Connections that are too many, too slow, or only open: the others notice nothing (table rows 2.9
and 2.10).
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import ssl
import time
from pathlib import Path

import aiohttp
import pytest
import trustme

from tests.chaos.oracle import Oracle
from tests.chaos.peers import HttpProducer
from tests.chaos.process import Waybill
from tests.conftest import Running, Sidecar
from tests.patience import patience, until

HEAD = b"POST /v1/label HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"


async def connect(sidecar: Sidecar) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = sidecar.service.address.removeprefix("http://").partition(":")
    return await asyncio.open_connection(host, int(port))


async def is_closed(reader: asyncio.StreamReader) -> bool:
    with contextlib.suppress(ConnectionError):
        async with patience():
            return await reader.read(1000) == b""
    return True


async def test_a_header_byte_by_byte_is_cut_and_others_are_served(running: Running) -> None:
    async with running("model.path=null", "http.header_timeout_secs=5") as sidecar:
        slow = [await connect(sidecar) for _ in range(20)]

        async def drip(writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                for byte in HEAD * 10:
                    writer.write(bytes((byte,)))
                    await writer.drain()
                    await asyncio.sleep(0.1)

        drips = [asyncio.create_task(drip(writer)) for _, writer in slow]
        are_closed = asyncio.gather(*(is_closed(reader) for reader, _ in slow))
        while not are_closed.done():
            assert (await sidecar.post(b'{"log":"a"}'))[0] == 200
            await asyncio.sleep(0.1)
        assert all(await are_closed)
        refused = "waybill_connections_refused_total"
        assert sidecar.metric(refused, ingest="http", reason="slow_head") == 20
        for task in drips:
            task.cancel()
        for _, writer in slow:
            writer.transport.abort()
        await asyncio.gather(*drips, return_exceptions=True)


async def test_a_connection_that_says_nothing_is_closed_when_idle_ones_are(
    running: Running,
) -> None:
    async with running("model.path=null", "http.keepalive_secs=0.4") as sidecar:
        reader, writer = await connect(sidecar)
        assert await is_closed(reader)
        writer.transport.abort()


@pytest.mark.parametrize(
    ("setting", "reason"),
    [("limits.connections", "total"), ("limits.connections_per_client", "client")],
)
async def test_one_connection_too_many_is_closed_at_once(
    running: Running, setting: str, reason: str
) -> None:
    async with running("model.path=null", f"{setting}=5") as sidecar:
        many = [await connect(sidecar) for _ in range(5)]
        await until(lambda: sidecar.metric("waybill_open_connections", ingest="http") == 5)
        reader, writer = await connect(sidecar)
        assert await is_closed(reader)
        writer.transport.abort()
        assert (
            sidecar.metric("waybill_connections_refused_total", ingest="http", reason=reason) == 1
        )
        for _, one in many:
            one.transport.abort()
        while sidecar.metric("waybill_open_connections", ingest="http"):
            await asyncio.sleep(0.02)
        assert (await sidecar.post(b'{"log":"a"}'))[0] == 200


@pytest.fixture(name="secured", scope="module")
def _secured(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], ssl.SSLContext]:
    """Settings of a listener with TLS and a client's context that trusts it."""
    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    cert = authority.issue_cert("127.0.0.1")
    cert.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    cert.private_key_pem.write_to_path(folder / "key.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    files = [f"cert_file={folder / 'cert.pem'}", f"key_file={folder / 'key.pem'}"]
    return ["model.path=null", *(f"http.tls.{file}" for file in files)], context


Secured = tuple[list[str], ssl.SSLContext]


async def test_peers_that_never_shake_hands_are_counted_bounded_and_cut(
    running: Running, secured: Secured
) -> None:
    settings, context = secured
    limits = ["limits.connections=50", "limits.connections_per_client=40"]
    async with running(*settings, *limits, "http.header_timeout_secs=5") as sidecar:
        host, _, port = sidecar.service.address.removeprefix("https://").partition(":")
        silent = [await asyncio.open_connection(host, int(port)) for _ in range(200)]
        while sidecar.metric("waybill_open_connections", ingest="http") < 40:
            await asyncio.sleep(0.01)
        assert all([await is_closed(reader) for reader, _ in silent])
        refused = "waybill_connections_refused_total"
        assert sidecar.metric(refused, ingest="http", reason="client") == 160
        assert sidecar.metric(refused, ingest="http", reason="handshake") == 40
        assert sidecar.metric("waybill_open_connections", ingest="http") == 0
        url = f"{sidecar.service.address}/v1/label"
        async with sidecar.client.post(url, data=b'{"log":"a"}', ssl=context) as reply:
            assert reply.status == 200
        for _, writer in silent:
            writer.close()


async def test_a_connection_with_tls_leaves_its_place_however_it_ends(
    running: Running, secured: Secured
) -> None:
    """More in turn than may be open at once: ended well, in the middle, before and with no TLS."""
    settings, context = secured
    async with running(*settings, "limits.connections_per_client=3") as sidecar:
        host, _, port = sidecar.service.address.removeprefix("https://").partition(":")
        url = f"{sidecar.service.address}/v1/label"
        for _ in range(5):
            connector = aiohttp.TCPConnector(ssl=context)
            async with (
                aiohttp.ClientSession(connector=connector) as client,
                client.post(url, data=b'{"log":"a"}') as reply,
            ):
                assert reply.status == 200
            _, writer = await asyncio.open_connection(host, int(port), ssl=context)
            writer.write(HEAD)
            writer.transport.abort()
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"\x16\x03\x01")
            writer.transport.abort()
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200" not in await reader.read()
            writer.transport.abort()
            while sidecar.metric("waybill_open_connections", ingest="http"):
                await asyncio.sleep(0.01)


@pytest.mark.e2e
async def test_few_descriptors_and_many_connections(tmp_path: Path) -> None:
    """With 256 descriptors and 600 connections it stays up, takes no more than it can hold and does
    not spin.
    """
    waybill = Waybill(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        await waybill.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_exit(waybill)
        many = [await asyncio.open_connection("127.0.0.1", waybill.http_port) for _ in range(600)]
        for _, writer in many:
            stack.callback(writer.transport.abort)

        async def is_idle() -> bool:
            begin, used = time.monotonic(), waybill.cpu_secs()
            await asyncio.sleep(0.5)
            return waybill.cpu_secs() - used < 0.2 * (time.monotonic() - begin)

        await until(is_idle)
        for _, writer in many:
            writer.transport.abort()
        oracle = Oracle()
        await HttpProducer(oracle, waybill.address).run(1000)
        assert oracle.close().is_conserved
        series = 'waybill_connections_refused_total{ingest="http",reason="%s"}'
        assert (
            await waybill.metric(series % "total") + await waybill.metric(series % "client")
            >= 600 - 256
        )


async def test_a_client_that_leaves_while_it_is_answered_is_no_fault(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    body = b'{"log":"%s"}\n' % (b"x" * 1000) * 8000
    head = b"POST /v1/label HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    caplog.set_level("INFO")
    async with running("model.path=null") as sidecar:
        reader, writer = await connect(sidecar)
        writer.write(head + body)
        await writer.drain()
        assert await reader.read(100)
        writer.transport.abort()
        await until(lambda: "a client left" in caplog.text)
        assert (await sidecar.post(b'{"log":"x"}'))[0] == 200
    assert not [one for one in caplog.records if one.levelname == "ERROR"]


@pytest.mark.parametrize(
    ("first", "told"),
    [
        (b"POST /v1/label HTTP/1.1\r\n\r\n", "the sender speaks HTTP without TLS"),
        (b"\x93\xa1t\x01\x80" * 9, "the sender speaks no TLS"),
        (b'{"log":"a"}\n', "the sender speaks no TLS"),
    ],
)
async def test_who_speaks_no_tls_where_it_is_on_is_named_in_the_log(
    running: Running,
    secured: Secured,
    caplog: pytest.LogCaptureFixture,
    first: bytes,
    told: str,
) -> None:
    settings, _ = secured
    async with running(*settings) as sidecar:
        host, _, port = sidecar.service.address.removeprefix("https://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(first)
        assert await is_closed(reader)
        writer.close()
    details = [str(vars(record).get("detail", "")) for record in caplog.records]
    assert any(detail.startswith(told) for detail in details), details
