"""Fixtures of these tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.hubserver import TOKEN, Hub

pytest.importorskip("huggingface_hub", reason="the hub extra is not installed")
from huggingface_hub import close_session


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Hub, str]]:
    """A Hub on a thread of its own: the client is synchronous."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    hub, loop = Hub(), asyncio.new_event_loop()

    async def serve() -> web.AppRunner:
        runner = web.AppRunner(hub.application(), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(serve(), loop).result(10)
    yield hub, f"http://127.0.0.1:{runner.addresses[0][1]}"
    close_session()
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()
