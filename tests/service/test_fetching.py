"""What a followed server may answer."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from waybill.service.fetching import Fetcher, FetchError


@pytest.fixture(name="answering")
async def _answering() -> AsyncIterator[tuple[dict[str, web.Response], str]]:
    answers: dict[str, web.Response] = {}

    async def answer(request: web.Request) -> web.Response:
        return answers[request.path]

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield answers, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_what_comes_compressed_is_inflated_up_to_a_bound(
    answering: tuple[dict[str, web.Response], str],
) -> None:
    """The client library would inflate it on the event loop: 200 KB became 200 MB there."""
    answers, address = answering

    def offer(data: bytes, encoding: str) -> None:
        answers["/x"] = web.Response(body=data, headers={"Content-Encoding": encoding})

    fetcher = Fetcher(f"{address}/x", None, "setting", 1 << 20)
    offer(gzip.compress(b"rules"), "gzip")
    assert (await fetcher.fetch()).data == b"rules"
    for data, encoding, code in (
        (gzip.compress(bytes(8 << 20)), "gzip", "too_large"),
        (b"no gzip", "gzip", "refused"),
        (b"rules", "br2", "refused"),
    ):
        offer(data, encoding)
        with pytest.raises(FetchError) as caught:
            await fetcher.fetch()
        assert caught.value.code == code
