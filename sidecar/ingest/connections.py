"""How many connections there may be, from one client and from all, and how long a request's head may take.

What is too much is closed at once, before a byte of it is read: shippers come back. File descriptors
never run out that way, so the listener cannot spin on a full table.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from typing import Any, cast

from aiohttp import web
from aiohttp.typedefs import Handler

from sidecar.config import LimitSettings
from sidecar.ops.metrics import Metrics

#: From the first byte, or the connection's beginning, to the end of a request's head (nginx gives 60 s).
HEAD_SECS = 10.0


class Connections:
    """Counts connections and says whether one more may come; one for all listeners of a process."""

    def __init__(self, limits: LimitSettings, metrics: Metrics) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        # A quarter of the descriptors is for models, rules, logs and the way back.
        self._most = limits.connections if files < 0 else min(limits.connections, files * 3 // 4)
        self._most_per_client = limits.connections_per_client
        self._metrics = metrics
        self._open: Counter[str] = Counter()
        self._count = 0

    def enter(self, ingest: str, client: str) -> bool:
        """Whether a connection from ``client`` (an address; empty for a unix socket) may stay. If so, `leave` it."""
        reason = "total" if self._count >= self._most else ""
        if client and self._open[client] >= self._most_per_client:
            reason = "client"
        if reason:
            self.refuse(ingest, reason)
            return False
        self._count += 1
        self._open[client] += 1
        self._metrics.connections.labels(ingest).inc()
        return True

    def leave(self, ingest: str, client: str) -> None:
        """A connection that was let in has ended."""
        self._count -= 1
        self._open[client] -= 1
        if not self._open[client]:
            del self._open[client]
        self._metrics.connections.labels(ingest).dec()

    def refuse(self, ingest: str, reason: str) -> None:
        """Count a connection that is closed for ``reason``."""
        self._metrics.connections_refused.labels(ingest, reason).inc()


def client_of(transport: asyncio.BaseTransport) -> str:
    """The address of the other side, without its port; empty for a unix socket."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""


class GuardedRunner(web.AppRunner):
    """An aiohttp runner whose connections are counted and whose request heads have a deadline."""

    def __init__(self, app: web.Application, connections: Connections, **options: Any) -> None:
        super().__init__(app, **options)
        self._connections = connections
        self._guards: dict[asyncio.BaseTransport, _Guard] = {}
        app.middlewares.insert(0, self._head_is_read)

    @property
    def server(self) -> Any:
        """What makes the protocol of a new connection."""
        inner = super().server
        return inner and (lambda: _Guard(inner(), self._connections, self._guards))

    @web.middleware
    async def _head_is_read(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        guard = self._guards.get(request.transport) if request.transport is not None else None
        if guard is None:
            return await handler(request)
        with guard:
            return await handler(request)


class _Guard(asyncio.Protocol):
    """Stands between a transport and the protocol that reads requests from it.

    The deadline runs while a request's head is awaited in pieces; a kept connection may fall silent
    between requests for as long as aiohttp allows.
    """

    def __init__(
        self, inner: asyncio.Protocol, connections: Connections, guards: dict[asyncio.BaseTransport, _Guard]
    ) -> None:
        self._inner, self._connections, self._guards = inner, connections, guards
        self._transport: asyncio.Transport | None = None
        self._client = ""
        self._timer: asyncio.TimerHandle | None = None
        self._is_busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's are none by their class
        self._client = client_of(transport)
        if not self._connections.enter("http", self._client):
            transport.abort()
            return
        self._transport = transport
        self._guards[transport] = self
        self._await_head()
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is None:
            return
        self._stop_timer()
        del self._guards[self._transport]
        self._transport = None
        self._connections.leave("http", self._client)
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._await_head()
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._transport is not None else None

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def __enter__(self) -> None:
        self._is_busy = True
        self._stop_timer()

    def __exit__(self, *_: object) -> None:
        self._is_busy = False

    def _await_head(self) -> None:
        if self._timer is None and not self._is_busy:
            self._timer = asyncio.get_running_loop().call_later(HEAD_SECS, self._expire)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        if self._transport is not None:
            self._connections.refuse("http", "slow_head")
            self._transport.abort()
