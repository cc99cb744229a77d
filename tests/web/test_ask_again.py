"""*Ask again*: every sidecar is asked at once, whatever the interval is."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.web.conftest import opened, settings_for


async def test_ask_again_asks_every_sidecar_now_and_says_so(tmp_path: Path) -> None:
    asked: asyncio.Queue[str] = asyncio.Queue()

    async def told(request: web.Request) -> web.Response:
        asked.put_nowait(request.path)
        return web.Response(status=503)

    app = web.Application()
    app.router.add_get("/{any:.*}", told)
    async with TestServer(app) as server:
        own = settings_for(tmp_path, sidecars=(str(server.make_url("")),), collect_secs=3600.0)
        async with opened(own) as browser:
            async with asyncio.timeout(60):
                await asked.get()
            async with asyncio.timeout(60):
                while "bad-text" not in (await browser.get("/nodes"))[1]:
                    await asyncio.sleep(0.05)
            while not asked.empty():
                asked.get_nowait()
            status, page = await browser.send("/nodes/ask", {})
            assert status == 200
            assert "Every sidecar is asked." in page
            async with asyncio.timeout(60):
                await asked.get()
