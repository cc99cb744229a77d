"""Sidecars that answer, that are down, and that lie: each costs its own row only."""

from __future__ import annotations

from pathlib import Path

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.web.conftest import opened, pattern, settings_for, share
from waybill.core.pattern import encode, pattern_id
from waybill.web.store.queries import node_rows

GOOD = encode(pattern("User <id> logged in", share("User Action", 40), count=40))


#: Stands for an answer that leads to another address.
ELSEWHERE = b"elsewhere"


def lie(**more: object) -> bytes:
    """A pattern with something that no sidecar says."""
    told = pattern("User <id> logged in", share("User Action", 40), count=40)
    return encode(msgspec.structs.replace(told, **more))


#: What a liar answers: its body and its cursor.
LIES = {
    "elsewhere": (ELSEWHERE, ""),
    "more than there is": (lie(count=10**30), ""),
    "less than nothing": (lie(count=-1), ""),
    "after all time": (lie(last_seen=1e300), ""),
    "another mask": (lie(id=pattern_id("something else")), ""),
    "no id": (lie(id="<script>", is_cleaned=True), ""),
    "many sources": (lie(sources={f"s{i}": 1 for i in range(1000)}), ""),
    "a long text": (lie(examples=("x" * (2 << 20),)), ""),
    "text that is none": (GOOD.replace(b"User", b"\\ud800"), ""),
    "a number for a text": (b'{"id":"0","mask":1,"count":1}', ""),
    "deep": (b"[" * 100_000, ""),
    "garbage": (b'{"id":1}\n<html>\x1b[31m', ""),
    "no end": (GOOD, "again"),
}


def sidecar(body: bytes, cursor: str) -> TestServer:
    """A server that answers every question for patterns alike."""

    async def patterns(_: web.Request) -> web.Response:
        if body == ELSEWHERE:
            raise web.HTTPFound("/v1/edition")
        headers = {"Waybill-Workers": "1/1"}
        if cursor:
            headers["Waybill-Cursor"] = cursor
        return web.Response(body=body, headers=headers)

    async def edition(_: web.Request) -> web.Response:
        return web.json_response({"rules": {"version": "3b24"}})

    app = web.Application()
    app.add_routes([web.get("/v1/patterns", patterns), web.get("/v1/edition", edition)])
    return TestServer(app)


async def test_who_lies_or_is_down_costs_its_own_row(tmp_path: Path) -> None:
    async with sidecar(GOOD, "") as good:
        liars = [sidecar(*lie) for lie in LIES.values()]
        for liar in liars:
            await liar.start_server()
        urls = [str(server.make_url("")) for server in (good, *liars)]
        asked = (*urls, "http://127.0.0.1:1")
        async with opened(settings_for(tmp_path, sidecars=asked)) as browser:
            await browser.running.bench.collector.collect()
            rows = await browser.running.bench.database.read(node_rows)
            faults = {f"http://{row['name']}": row["fault"] for row in rows}
            assert faults.pop(urls[0].rstrip("/")) == ""
            assert len(faults) == len(LIES) + 1
            assert all(faults.values()), faults
            _, text = await browser.get("/patterns")
            assert "1 of 1" in text
            _, nodes = await browser.get("/nodes")
            assert "3b24" in nodes
            assert "&lt;html&gt;" in nodes
            assert "\x1b" not in nodes
        for liar in liars:
            await liar.close()
