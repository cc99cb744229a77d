"""What is told without being sent a body: made for one at a time, where it is made of much."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from tests.conftest import Running
from waybill.api.answers import in_turn
from waybill.ingest.http.server import canonical

#: As large as the settings, the taxonomy and the metrics make it, whatever was sent.
SMALL = {
    "/",
    "/docs",
    "/healthz",
    "/metrics",
    "/openapi.json",
    "/readyz",
    "/v1/edition",
    "/v1/label",
    "/v1/label/{tag}",
}


async def test_an_answer_that_is_made_of_much_is_made_for_one_at_a_time() -> None:
    at_once: list[int] = []
    running = 0

    async def handle(_: web.Request) -> web.StreamResponse:
        nonlocal running
        running += 1
        at_once.append(running)
        await asyncio.sleep(0)
        running -= 1
        return web.Response()

    handler = in_turn(handle)
    await asyncio.gather(*(handler(make_mocked_request("GET", "/")) for _ in range(20)))
    assert at_once == [1] * 20


async def test_whatever_grows_with_what_was_sent_is_told_in_turn(running: Running) -> None:
    async with running("model.path=null") as sidecar:
        routes = sidecar.service.http.routes
    told = {canonical(one.path): one.handler for one in routes if one.method == "GET"}
    in_turns = {path for path, handler in told.items() if hasattr(handler, "__wrapped__")}
    assert told.keys() - in_turns <= SMALL
