"""Killed at any moment, the workbench keeps what it has accepted, and nothing by halves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import signal
import sqlite3
import sys
import time
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.support.ports import free_port
from tests.web.conftest import pattern, settings_for, share
from waybill.core.pattern import encode
from waybill.web.store.changes import newest_by_file, stored_files
from waybill.web.store.corrections import export, export_applied
from waybill.web.store.database import Database
from waybill.web.store.recording import NodeAnswer, record_answer

NAME = "50-workbench.yaml"
SAID = "SELECT pattern, json_extract(body, '$.label') AS label FROM corrections"


def rules(number: int) -> str:
    return f"rules:\n- {{id: r{number}, label: Error, pattern: 'number {number}'}}\n"


async def start(
    store: str, rules_path: Path, sidecar: str, port: int
) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "waybill", "workbench",
        "--set", f"workbench.store={store}", "--set", f"workbench.listen=127.0.0.1:{port}",
        "--set", "workbench.apply=follow", "--set", f"workbench.sidecars=[{sidecar}]",
        "--set", "workbench.collect_secs=0.05", "--set", "model.path=null",
        "--set", f"rules.path={rules_path}",
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}/healthz") as reply:
                    if reply.status == 200:
                        return process
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


async def upload(
    session: aiohttp.ClientSession, address: str, token: str, uploads: list[str]
) -> None:
    """Send a file; its job is kept when that is answered."""
    file = aiohttp.FormData()
    file.add_field("form_token", token)
    file.add_field("file", b"message\n" + b"User 1 logged in\n" * 500, filename="a.csv")
    async with session.post(f"{address}/csv", data=file, allow_redirects=False) as reply:
        if reply.status == 303:
            uploads.append(reply.headers["Location"].rpartition("/")[2])


async def work(
    address: str,
    ids: list[str],
    accepted: list[tuple[str, str]],
    texts: list[str],
    uploads: list[str],
) -> None:
    """Correct, apply and change rules as fast as it goes. Raises ClientError: nobody answers."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        async with session.get(f"{address}/csv") as reply:
            found = re.search('name="form_token" value="([0-9a-f]+)"', await reply.text())
        assert found is not None
        form = {"form_token": found[1]}

        async def send(path: str, **fields: str) -> int:
            body = {**form, **fields}
            url = f"{address}{path}"
            async with session.post(url, data=body, allow_redirects=False) as reply:
                return reply.status

        for number in range(10_000):
            one = ids[number % len(ids)]
            label = ("Error", "User Action")[number // len(ids) % 2]
            if await send(f"/patterns/{one}/correct", label=label) == 303:
                accepted.append((one, label))
            if number % 3 == 1:
                await send("/corrections/apply")
            if number % 4 == 3:
                some = f"{one},{ids[(number + 1) % len(ids)]}".split(",")
                bulk = [*form.items(), ("label", "HTTP Status"), *(("id", i) for i in some)]
                url = f"{address}/patterns/bulk"
                async with session.post(url, data=bulk, allow_redirects=False) as reply:
                    if reply.status == 303:
                        accepted += [(i, "HTTP Status") for i in some]
                await upload(session, address, form["form_token"], uploads)
            if number % 5 == 2:
                async with session.get(f"{address}/rules/edit?file={NAME}") as reply:
                    base = re.search('name="base" value="([^"]*)"', await reply.text())
                text = rules(len(texts) + 1)
                texts.append(text)
                assert base is not None
                await send("/rules/edit", file=NAME, text=text, base=base[1], do="apply")


def look(path: str, accepted: list[tuple[str, str]], texts: list[str], uploads: list[str]) -> None:
    """What must hold of a store after a kill."""
    database = Database(Path(path))  # it opens, and its tables are whole
    database.close()
    store = sqlite3.connect(path)
    store.row_factory = sqlite3.Row
    assert store.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    said = {(row["pattern"], row["label"]) for row in store.execute(SAID)}
    assert set(accepted) <= said
    assert set(uploads) <= {row["id"] for row in store.execute("SELECT id FROM jobs")}
    standing = {row["pattern"] for row in store.execute("SELECT pattern FROM standing")}
    assert standing == {one for one, _ in said}
    newest = {row["file"]: row for row in newest_by_file(store)}
    assert all(row["state"] == "written" for row in newest.values())
    if NAME in newest:
        assert stored_files(store) == {NAME: newest[NAME]["after"]}
        assert newest[NAME]["after"] in texts
    applied = export_applied(store).splitlines()
    assert applied == export(store).splitlines()[: len(applied)]
    # Patterns and their counts are of whole answers.
    counted = store.execute("SELECT pattern, sum(count) AS n FROM node_counts GROUP BY pattern")
    sums = {row["pattern"]: row["n"] for row in counted}
    hours = store.execute("SELECT pattern, sum(count) AS n FROM hours GROUP BY pattern")
    assert {row["pattern"]: row["n"] for row in hours} == sums
    store.close()


@pytest.mark.timeout(240)
async def test_a_kill_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    own = tmp_path / "rules"
    own.mkdir()
    (own / "a.yaml").write_text("rules:\n- {id: a, label: Error, pattern: 'kernel'}\n")
    store = settings_for(tmp_path).workbench.store
    seen = [pattern(f"message {'x' * i}", share("Error", 10), count=10) for i in range(20)]
    count = [0]

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/v1/edition":
            return web.json_response({"rules": {"files": {}}})
        count[0] += 1
        now = time.time()
        body = b"".join(
            encode(pattern(one.mask, share("Error", 10 * count[0]), count=10 * count[0], at=now,
                           since=1.0, first_seen=now - 10))
            for one in seen
        )  # fmt: skip
        return web.Response(body=body, headers={"Waybill-Workers": "1/1"})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sidecar = f"http://127.0.0.1:{runner.addresses[0][1]}"
    database = Database(Path(store))
    await database.write(lambda one: record_answer(one, NodeAnswer("n", time.time(), seen)))
    database.close()
    accepted: list[tuple[str, str]] = []
    texts: list[str] = []
    uploads: list[str] = []
    chance = random.Random(7)
    try:
        for _ in range(int(os.environ.get("KILLS", "2"))):
            port = free_port()
            process = await start(store, own, sidecar, port)
            address = f"http://127.0.0.1:{port}"
            busy = asyncio.create_task(
                work(address, [one.id for one in seen], accepted, texts, uploads)
            )
            await asyncio.sleep(chance.uniform(0.5, 2.0))
            process.send_signal(signal.SIGKILL)
            await process.wait()
            with contextlib.suppress(aiohttp.ClientError):  # also before the first answer
                await busy
            look(store, accepted, texts, uploads)
    finally:
        await runner.cleanup()
    assert accepted
