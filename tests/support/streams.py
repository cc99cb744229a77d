"""A server of streams whose end leaves no connection and no task behind."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["StreamServer"]

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
#: Of the loop, from accepting a connection to telling of it; closing the server in between would
#: leave it open.
_TURNS = 3


class StreamServer:
    """Each connection is known from the moment in which it comes.

    asyncio starts a coroutine for a connection at a later turn of its loop: what such a coroutine
    notes for the end is not there yet when the end comes in between.
    """

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def start(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        path: str | None = None,
        context: ssl.SSLContext | None = None,
    ) -> int:
        """The port at which it listens; 0 for a ``path`` of a Unix socket."""
        if path is not None:
            self._server = await asyncio.start_unix_server(self._accept, path)
            return 0
        self._server = await asyncio.start_server(self._accept, host, port, ssl=context)
        listens_at: int = self._server.sockets[0].getsockname()[1]
        return listens_at

    async def stop(self) -> None:
        """Cut every connection and wait for what served it."""
        assert self._server is not None
        loop = asyncio.get_running_loop()
        for listener in self._server.sockets:
            loop.remove_reader(listener.fileno())
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        self._server.close()
        while self._open:
            for task, writer in self._open.items():
                writer.transport.abort()
                task.cancel()
            await asyncio.wait(self._open)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._server is not None
        if not self._server.is_serving():  # its handshake took longer than we are here
            writer.transport.abort()
            return
        task = asyncio.create_task(self._run(reader, writer))
        self._open[task] = writer
        task.add_done_callback(self._open.pop)

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        finally:
            writer.close()
