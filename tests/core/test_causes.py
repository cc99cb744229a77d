"""What stands between a tool and an address is told, with what to write instead."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import trustme

from waybill.core.causes import cause_at


@asynccontextmanager
async def listening(tls: ssl.SSLContext | None) -> AsyncIterator[str]:
    """``host:port`` of a server that answers every line alike."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"


@pytest.mark.parametrize(
    ("scheme", "has_tls", "told"),
    [
        ("https", True, "; an authority of your own is named by the variable SSL_CERT_FILE"),
        ("https", False, "; if no TLS is spoken there, write http://"),
        ("http", True, "; if TLS is spoken there, write https://"),
    ],
)
async def test_tls_that_does_not_fit_an_address_is_told_with_what_to_write(
    scheme: str, has_tls: bool, told: str
) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    async with listening(tls if has_tls else None) as at, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError) as failed:
            await session.get(f"{scheme}://{at}/")
    assert cause_at(f"{scheme}://{at}", failed.value).endswith(told)


def test_what_has_nothing_to_do_with_tls_has_no_advice() -> None:
    assert cause_at("https://shop:1", TimeoutError()) == "no answer in time"
    assert cause_at("https://shop:1", ConnectionResetError("Connection reset")).endswith("reset")
