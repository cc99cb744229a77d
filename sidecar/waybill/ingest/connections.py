"""How many connections there may be, in all and from one client, and how long one may take to say what it wants.

aiohttp bounds none of it: whoever opens connections and sends a header byte by byte holds descriptors for as long
as he likes. A connection too many is closed at once, which makes every shipper come back later.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp import web

from waybill.core.names import Ingest
from waybill.core.reasons import ConnectionReason
from waybill.ops.metrics import Metrics
from waybill.settings.schema import LimitSettings

log = logging.getLogger(__name__)
#: Of the descriptors that we may open; the rest is for pushes, logs, files and child processes.
_SHARE_OF_FILES = 0.75
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Connections:
    """Counts the connections of all listeners."""

    def __init__(self, limits: LimitSettings, metrics: Metrics) -> None:
        self._metrics, self._per_client = metrics, limits.connections_per_client
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._limit = (
            min(limits.connections, int(files * _SHARE_OF_FILES))
            if files > 0
            else limits.connections
        )
        if self._limit < limits.connections:
            log.warning(
                "limits.connections is more than this process may open files",
                extra={"limit": self._limit},
            )
        self._count = 0
        self._clients: Counter[str] = Counter()

    def enter(self, ingest: Ingest, transport: asyncio.BaseTransport) -> bool:
        """Whether one more may come in; what did must `leave`."""
        client = _client_of(transport)
        if self._count >= self._limit:
            return self.refuse(ingest, "total")
        if client and self._clients[client] >= self._per_client:
            return self.refuse(ingest, "client")
        self._count += 1
        self._clients[client] += 1
        self._metrics.connections.labels(ingest).inc()
        return True

    def leave(self, ingest: Ingest, transport: asyncio.BaseTransport) -> None:
        """A connection that was let in is over."""
        client = _client_of(transport)
        self._count -= 1
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]
        self._metrics.connections.labels(ingest).dec()

    def refuse(self, ingest: Ingest, reason: ConnectionReason) -> bool:
        """Count a connection that is closed because of ``reason``; False."""
        self._metrics.connections_refused.labels(ingest, reason).inc()
        log.warning("a connection was closed", extra={"ingest": ingest, "reason": reason})
        return False


class Guard(asyncio.Protocol):
    """Stands before aiohttp's protocol: lets the connection in, and cuts it when a header takes too long.

    ``header_secs`` runs from the first byte of a request until its handler begins, ``idle_secs`` is for a new
    connection that says nothing; later silence is aiohttp's keep-alive.
    """

    def __init__(
        self,
        make: Callable[[], asyncio.Protocol],
        connections: Connections,
        header_secs: float,
        idle_secs: float,
    ) -> None:
        self._make, self._connections = make, connections
        self._header_secs, self._idle_secs = header_secs, idle_secs
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_handling = self._has_spoken = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, or close it."""
        self._transport = cast("asyncio.Transport", transport)
        if not self._connections.enter("http", transport):
            self._transport.abort()
            return
        _guards[transport] = self
        self._inner = self._make()
        self._inner.connection_made(transport)
        self._start_timer(self._idle_secs)

    def data_received(self, data: bytes) -> None:
        """Hand on; the first byte of a request starts its time."""
        if self._inner is None:
            return
        if not self._is_handling and (self._timer is None or not self._has_spoken):
            self._has_spoken = True
            self._start_timer(self._header_secs)
        self._inner.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Hand on and count."""
        self._stop_timer()
        if self._inner is not None and self._transport is not None:
            self._connections.leave("http", self._transport)
            del _guards[self._transport]
            self._inner.connection_lost(exc)

    def eof_received(self) -> bool | None:
        """Hand on."""
        return self._inner.eof_received() if self._inner is not None else None

    def pause_writing(self) -> None:
        """Hand on."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hand on."""
        if self._inner is not None:
            self._inner.resume_writing()

    def _start_timer(self, secs: float) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(secs, self._cut)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cut(self) -> None:
        self._connections.refuse("http", "slow_head")
        if self._transport is not None:
            self._transport.abort()

    def begin(self) -> None:
        """A request's header is whole and its handler begins: the clock stops."""
        self._is_handling = True
        self._stop_timer()

    def end(self) -> None:
        """The handler is done."""
        self._is_handling = False


@web.middleware
async def note_handling(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tells the guard of a request's connection that its header is whole."""
    guard = _guards.get(request.transport) if request.transport is not None else None
    if guard is None:
        return await handler(request)
    guard.begin()
    try:
        return await handler(request)
    finally:
        guard.end()


#: The guard of each connection, by its transport.
_guards: dict[asyncio.BaseTransport, Guard] = {}


def _client_of(transport: asyncio.BaseTransport) -> str:
    """The client's address; empty where it has none (a unix socket)."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""
