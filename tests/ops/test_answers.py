"""A body is read whole, though its pieces come one by one, and no further than wanted."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web

from tests.serving import serving
from waybill.ops.answers import beginning_of


async def in_pieces(request: web.Request) -> web.StreamResponse:
    reply = web.StreamResponse()
    await reply.prepare(request)
    for _ in range(8):
        await reply.write(b"x" * 100)
        await asyncio.sleep(0)  # a piece by itself, as TLS records and chunks are
    await reply.write_eof()
    return reply


@pytest.mark.parametrize(("most", "wanted"), [(10_000, 800), (800, 800), (350, 350), (0, 0)])
async def test_a_body_in_pieces_is_read_up_to_its_most(most: int, wanted: int) -> None:
    async with (
        serving(in_pieces) as address,
        aiohttp.ClientSession() as client,
        client.get(address) as reply,
    ):
        assert await beginning_of(reply.content, most) == b"x" * wanted
