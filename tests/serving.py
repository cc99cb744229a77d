"""Servers on a free port: for one handler, and on a thread of its own for who is synchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager

from aiohttp import web

from tests.patience import PATIENCE_SECS


@asynccontextmanager
async def serving(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    """The address at which ``handler`` answers every path."""
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextmanager
def serving_apart(app: web.Application) -> Iterator[int]:
    """The port at which ``app`` answers on a thread, whose loop ends with all of its tasks."""
    started: Future[tuple[int, Callable[[], object]]] = Future()
    thread = threading.Thread(target=asyncio.run, args=(_serve(app, started),), daemon=True)
    thread.start()
    port, stop = started.result(PATIENCE_SECS)
    try:
        yield port
    finally:
        stop()
        thread.join(PATIENCE_SECS)


async def _serve(app: web.Application, started: Future[tuple[int, Callable[[], object]]]) -> None:
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    try:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        started.set_result((runner.addresses[0][1], lambda: loop.call_soon_threadsafe(end.set)))
        await end.wait()
    finally:
        await runner.cleanup()
