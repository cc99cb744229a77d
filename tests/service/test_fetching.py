"""What a followed server may answer."""

from __future__ import annotations

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
