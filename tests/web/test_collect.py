"""Sidecars that answer, that are down, and that lie: each costs its own row only."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import time
from email.utils import formatdate
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler

from tests.patience import until
from tests.web.conftest import opened, pattern, settings_for, share
from waybill.core.pattern import Guess, encode, pattern_id
from waybill.patterns import client
from waybill.web.spool import Spool
from waybill.web.store.queries import node_rows
from waybill.web.store.recording import forget

GOOD = encode(pattern("User <id> logged in", share("User Action", 40), count=40))


#: Stands for an answer that leads to another address.
ELSEWHERE = b"elsewhere"


def lie(**more: object) -> bytes:
    """A pattern with something that no sidecar says."""
    told = pattern("User <id> logged in", share("User Action", 40), count=40)
    return encode(msgspec.structs.replace(told, **more))


#: What a liar answers: its body and its cursor.
LIES = {
    "twice": (GOOD + GOOD, ""),
    "no number": (GOOD.replace(b'"count":40', b'"count":NaN'), ""),
    "another schema": (b'{"patterns":[{"id":"1"}]}\n', ""),
    "more than a page": (
        GOOD + b"\n" + b"".join(lie(id=f"{i:016x}", is_cleaned=True) for i in range(1100)),
        "",
    ),
    "endless line": (b"x" * (9 << 20), ""),
    "a part of one": (GOOD[:-10], ""),
    "elsewhere": (ELSEWHERE, ""),
    "more than there is": (lie(count=10**30), ""),
    "less than nothing": (lie(count=-1), ""),
    "after all time": (lie(last_seen=1e300), ""),
    "another mask": (lie(id=pattern_id("something else")), ""),
    "no id": (lie(id="<script>", is_cleaned=True), ""),
    "many sources": (lie(sources={f"s{i}": 1 for i in range(1000)}), ""),
    "a long text": (lie(examples=("x" * 20_000,)), ""),
    "a long mask": (encode(pattern("x" * 20_000)), ""),
    "a long source": (lie(sources={"s" * 2000: 1}), ""),
    "a long label": (lie(verdicts=(share("L" * 2000, 40),)), ""),
    "a long rule": (lie(verdicts=(share("Error", 40, rule="r" * 2000),)), ""),
    "a long guess": (lie(guess=Guess("G" * 2000, 0.5)), ""),
    "text that is none": (GOOD.replace(b"User", b"\\ud800"), ""),
    "a number for a text": (b'{"id":"0","mask":1,"count":1}', ""),
    "deep": (b"[" * 100_000, ""),
    "garbage": (b'{"id":1}\n<html>\x1b[31m', ""),
    "compressed": (gzip.compress(GOOD), ""),
    "no end": (GOOD, "again"),
    "pages without an end": (GOOD, "next"),
}


def sidecar(body: bytes, cursor: str) -> TestServer:
    """A server that answers every question for patterns alike."""

    pages = itertools.count()

    async def patterns(_: web.Request) -> web.Response:
        if body == ELSEWHERE:
            raise web.HTTPFound("/v1/edition")
        headers = {"Waybill-Workers": "1/1"}
        if body.startswith(b"\x1f\x8b"):
            headers["Content-Encoding"] = "gzip"
        if cursor:
            headers["Waybill-Cursor"] = f"{cursor}{next(pages)}" if cursor == "next" else cursor
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


async def test_who_never_ends_or_never_answers_costs_its_own_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_MOST_BYTES", 1 << 20)
    monkeypatch.setattr(client, "_PATIENCE", aiohttp.ClientTimeout(total=5))
    gone = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        number = 0
        with contextlib.suppress(ConnectionError):
            while True:
                number += 1
                await answer.write(lie(id=f"{number:016x}", is_cleaned=True, mask="x" * 5000))
        gone.set()
        return answer

    async def silent(_: web.Request) -> web.Response:
        await gone.wait()
        await asyncio.Event().wait()
        raise AssertionError

    async with sidecar(GOOD, "") as good, _server(endless) as one, _server(silent) as other:
        urls = tuple(str(server.make_url("")) for server in (good, one, other))
        async with opened(settings_for(tmp_path, sidecars=urls)) as browser:
            await browser.running.bench.collector.collect()
            rows = await browser.running.bench.database.read(node_rows)
            faults = [row["fault"] for row in rows]
            assert sorted(map(bool, faults)) == [False, True, True]
            assert any("more than 1 MB" in fault for fault in faults)
            _, text = await browser.get("/patterns")
            assert "1 of 1" in text


def _server(handler: Handler) -> TestServer:
    """A server that answers everything alike."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    return TestServer(app)


def test_what_a_sidecar_says_is_held_some_at_a_time() -> None:
    told = [pattern(f"message {'x' * i}", share("Error", 3), count=3) for i in range(1200)]
    with Spool() as spool:
        for one in told:
            spool.add(one)
        with pytest.raises(ValueError, match="twice"):
            spool.add(told[7])
        batches = list(spool.batches())
    assert [one for batch in batches for one in batch] == told
    assert max(map(len, batches)) <= 500
    with Spool() as spool:
        for one in told[:6]:
            spool.add(msgspec.structs.replace(one, examples=("y" * (1 << 20),)))
        assert [len(batch) for batch in spool.batches()] == [2, 2, 2]


async def test_a_clock_that_is_ahead_makes_nothing_new_for_ever(tmp_path: Path) -> None:
    ahead = time.time() + 90_000
    body = lie(first_seen=ahead, last_seen=ahead + 5) + encode(
        pattern("other <id>", first_seen=ahead, last_seen=1.0)
    )
    async with sidecar(body, "") as server:
        settings = settings_for(tmp_path, sidecars=(str(server.make_url("")),))
        async with opened(settings) as browser:
            await browser.running.bench.collector.collect()
            rows = await browser.running.bench.database.read(
                lambda store: store.execute("SELECT * FROM patterns").fetchall()
            )
    assert rows
    assert all(row["first_seen"] <= row["last_seen"] <= time.time() for row in rows)


async def test_who_gave_no_answer_is_asked_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sidecar(LIES["garbage"][0], "") as liar, sidecar(GOOD, "") as good:
        urls = tuple(str(server.make_url("")) for server in (liar, good))
        async with opened(settings_for(tmp_path, sidecars=urls)) as browser:
            collector = browser.running.bench.collector
            await collector.stop()
            collector._silent.clear()
            asked: list[str] = []
            ask = collector._ask

            async def note(name: str, address: str) -> None:
                asked.append(address)
                await ask(name, address)

            monkeypatch.setattr(collector, "_ask", note)
            await collector.collect()
            await collector.collect()
    places = [url.rstrip("/") for url in urls]
    assert asked == [*places, *reversed(places)]


async def test_a_slow_one_is_heard_later_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    may_answer = asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        await may_answer.wait()
        if request.path.endswith("edition"):
            return web.json_response({})
        return web.Response(body=b"", headers={"Waybill-Workers": "1/1"})

    async with sidecar(GOOD, "") as good, _server(slow) as late:
        urls = tuple(str(server.make_url("")) for server in (good, late))
        here, there = (url.removeprefix("http://").rstrip("/") for url in urls)
        settings = settings_for(tmp_path, sidecars=urls, collect_secs=0.1)
        async with opened(settings) as browser:
            bench = browser.running.bench

            async def tried() -> dict[str, float]:
                rows = await bench.database.read(node_rows)
                return {row["name"]: row["tried_at"] for row in rows if not row["fault"]}

            await until(tried)
            first = (await tried())[here]

            async def is_asked_again() -> bool:
                return (await tried())[here] > first

            await until(is_asked_again)
            assert there not in await tried()
            may_answer.set()

            async def is_heard() -> bool:
                return there in await tried()

            await until(is_heard)


async def test_a_clock_that_jumps_ahead_makes_nobody_forget(tmp_path: Path) -> None:
    async with opened(settings_for(tmp_path)) as client:
        await client.put(pattern("User <id> logged in", share("User Action", 40), count=40))
        database = client.running.bench.database
        assert await database.write(lambda store: forget(store, None, 10)) == 0
        await client.running.bench.collector.collect()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "time", lambda: 4e9)
            await client.running.bench.collector.collect()
        count = "SELECT count(*) FROM patterns"
        assert await database.read(lambda store: store.execute(count).fetchone()[0]) == 1
        assert await database.write(lambda store: forget(store, 4e9, 10)) == 1


@pytest.mark.parametrize(("ahead", "words"), [(86_400, "24 h ahead"), (-86_400, "24 h behind")])
async def test_a_clock_that_is_wrong_is_told_and_its_times_are_ours(
    tmp_path: Path, ahead: int, words: str
) -> None:
    began = time.time()
    theirs = began + ahead
    body = lie(first_seen=theirs - 3600, last_seen=theirs - 30, since=theirs - 7200)

    async def answer(request: web.Request) -> web.Response:
        headers = {"Waybill-Workers": "1/1", "Date": formatdate(time.time() + ahead, usegmt=True)}
        if request.path.endswith("edition"):
            return web.json_response({})
        return web.Response(body=body, headers=headers)

    async with _server(answer) as server:
        settings = settings_for(tmp_path, sidecars=(str(server.make_url("")),))
        async with opened(settings) as browser:
            await browser.running.bench.collector.collect()
            (row,) = await browser.running.bench.database.read(
                lambda store: store.execute("SELECT * FROM patterns").fetchall()
            )
            _, text = await browser.get("/nodes")
    assert -100 < row["last_seen"] - began < 60
    assert -3700 < row["first_seen"] - began < -3500
    assert words in text


async def test_one_that_is_older_or_newer_says_what_it_can(tmp_path: Path) -> None:
    newer = lie().replace(b'"tier":"rule"', b'"tier":"oracle"')
    async with sidecar(newer, "") as one, _server(_no_edition) as other:
        urls = tuple(str(server.make_url("")) for server in (one, other))
        async with opened(settings_for(tmp_path, sidecars=urls)) as browser:
            await browser.running.bench.collector.collect()
            rows = await browser.running.bench.database.read(node_rows)
            assert min(row["fault"] for row in rows) == ""
            assert "it has no such address: it may be older" in rows[0]["fault"] + rows[1]["fault"]
            assert "1 of 1" in (await browser.get("/patterns"))[1]


async def _no_edition(request: web.Request) -> web.Response:
    if request.path.endswith("edition"):
        raise web.HTTPNotFound
    return web.Response(body=b"", headers={"Waybill-Workers": "1/1"})
