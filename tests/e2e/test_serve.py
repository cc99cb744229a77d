"""The process as an operator meets it: starts, says what it does, drains, ends with the right code."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.support.ports import free_port

pytestmark = pytest.mark.e2e
SECRET_LINE = "the text of a record never shows up in the log"


def start(log: Path, *overrides: str) -> subprocess.Popen[bytes]:
    flags = [part for override in overrides for part in ("--set", override)]
    # It sets this by itself (tests/one_thread.py).
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS")
    }
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "waybill", "serve", *flags],
            stderr=file,
            cwd=log.parent,
            env=environment,
        )


async def ready(client: aiohttp.ClientSession, address: str) -> None:
    while True:
        try:
            async with client.get(f"{address}/readyz") as reply:
                if reply.status == 200:
                    return
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.05)


@asynccontextmanager
async def slow_receiver(gate: asyncio.Event, seen: list[bytes]) -> AsyncIterator[str]:
    async def receive(request: web.Request) -> web.Response:
        seen.append(await request.read())
        await gate.wait()
        return web.Response(status=200)

    app = web.Application()
    app.router.add_post("/", receive)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def test_sigterm_lets_batches_under_way_end_and_refuses_new_ones(tmp_path: Path) -> None:
    gate, seen = asyncio.Event(), list[bytes]()
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    body = json.dumps([{"log": SECRET_LINE}]).encode()
    async with slow_receiver(gate, seen) as url, aiohttp.ClientSession() as client:
        process = start(
            tmp_path / "log",
            f"http.listen=127.0.0.1:{port}",
            "return.type=http",
            f"return.url={url}",
        )
        try:
            await ready(client, address)
            under_way = asyncio.create_task(client.post(f"{address}/v1/label", data=body))
            while not seen:
                await asyncio.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            while True:
                async with client.get(f"{address}/readyz") as reply:
                    if reply.status == 503:
                        break
            async with client.post(f"{address}/v1/label", data=body) as reply:
                assert reply.status == 503
            gate.set()
            assert (await under_way).status == 204
            assert await asyncio.to_thread(process.wait, 30) == 0
        finally:
            process.kill()
            process.wait()
    assert json.loads(seen[0])["log"] == SECRET_LINE
    log = (tmp_path / "log").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["message"] for line in lines if line["message"] in ("ready", "stopping")] == [
        "ready",
        "stopping",
    ]
    assert SECRET_LINE not in log


async def test_an_address_that_is_taken_ends_with_code_2(tmp_path: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        process = start(tmp_path / "log", f"http.listen=127.0.0.1:{port}", "model.path=null")
        assert await asyncio.to_thread(process.wait, 30) == 2
    assert "http.listen: cannot listen" in (tmp_path / "log").read_text()


async def test_a_broken_rule_file_at_the_start_ends_with_code_2(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text("rules:\n- {id: a, label: Error, pattern: '('}\n")
    process = start(
        tmp_path / "log",
        "rules.path=rules",
        "model.path=null",
        f"http.listen=127.0.0.1:{free_port()}",
    )
    assert await asyncio.to_thread(process.wait, 30) == 2
    assert "a.yaml:2: rule 'a'" in (tmp_path / "log").read_text()


def wanting(pid: int) -> dict[str, float]:
    """For how many seconds each thread but the first has run or wanted to: a busy machine changes
    how these two are shared, not what they are together.
    """
    tasks = [task for task in Path(f"/proc/{pid}/task").iterdir() if task.name != str(pid)]
    told = {task.name: (task / "schedstat").read_text().split() for task in tasks}
    return {name: (int(ran) + int(waited)) / 1e9 for name, (ran, waited, _) in told.items()}


async def test_no_thread_spins_while_new_messages_trickle_in(tmp_path: Path) -> None:
    """numpy's helper thread burned a core of its own while the model had a message every few
    milliseconds.
    """
    port = free_port()
    process = start(tmp_path / "log", f"http.listen=127.0.0.1:{port}")
    try:
        async with aiohttp.ClientSession() as client:
            await ready(client, f"http://127.0.0.1:{port}")
            before, begin = wanting(process.pid), time.monotonic()
            for i in range(50):
                asked = time.monotonic()
                body = json.dumps(
                    {
                        "log": f"the {chr(97 + i % 26)}{chr(97 + i // 26)} frobnicator was recalibrated"
                    }
                )
                async with client.post(f"http://127.0.0.1:{port}/v1/label", data=body) as reply:
                    assert json.loads(await reply.read())["label_tier"] in ("model", "none")
                # Whatever the machine: the thread that answers is busy a third of the time.
                await asyncio.sleep(2 * (time.monotonic() - asked))
            wall = time.monotonic() - begin
        after = wanting(process.pid)
    finally:
        process.kill()
        process.wait()
    busiest = max(secs - before.get(name, 0.0) for name, secs in after.items())
    assert busiest < 0.5 * wall
