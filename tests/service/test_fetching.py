"""What a followed server may answer."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from aiohttp import web

from tests.serving import serving
from waybill.service.fetching import Fetcher, FetchError


async def test_what_comes_compressed_is_inflated_up_to_a_bound() -> None:
    """The client library would inflate it on the event loop: 200 KB became 200 MB there."""
    offered = gzip.compress(b"rules"), "gzip"

    async def answer(_: web.Request) -> web.Response:
        data, encoding = offered
        return web.Response(body=data, headers={"Content-Encoding": encoding})

    async with serving(answer) as address:
        fetcher = Fetcher(f"{address}/x", None, "setting", 1 << 20)
        assert (await fetcher.fetch()).data == b"rules"
        for data, encoding, code in (
            (gzip.compress(bytes(8 << 20)), "gzip", "too_large"),
            (b"no gzip", "gzip", "refused"),
            (b"rules", "br2", "refused"),
            (gzip.compress(gzip.compress(b"rules")), "gzip, gzip", "refused"),
        ):
            offered = data, encoding
            with pytest.raises(FetchError) as caught:
                await fetcher.fetch()
            assert caught.value.code == code


@pytest.mark.parametrize(
    ("tag", "is_sent_back"),
    [(b'"v7"', True), (b'W/"v7"', True), (b'"\x01"', False), (b'"\xff"', False), (b"", False),
     (b'"' + b"v" * 500 + b'"', False)],
)  # fmt: skip
async def test_whatever_a_server_calls_its_copy_it_is_asked_again(
    tag: bytes, is_sent_back: bool
) -> None:
    """A name with a control character made every further request fail, until a restart."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nETag: %b\r\n\r\nrules"
        writer.write(head % tag)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        fetcher = Fetcher(f"http://127.0.0.1:{port}/x", None, "setting", 1 << 20)
        for _ in range(2):
            fetched = await fetcher.fetch()
            assert fetched.data == b"rules"
            fetcher.tag = fetched.tag
    assert (b"If-None-Match: " + tag in asked[1]) is is_sent_back
