"""How long an HTTP client may take to say what it wants.

aiohttp does not bound it: whoever sends a header byte by byte holds a connection for as long as he
likes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp import web

from waybill.ingest.connections import Connections

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guards:
    """Makes a `Guard` for each connection of one server, and finds the one of a request.

    ``make`` gives aiohttp's protocol; times are in seconds.
    """

    def __init__(
        self,
        make: Callable[[], asyncio.Protocol],
        connections: Connections,
        header_secs: float,
        idle_secs: float,
    ) -> None:
        self.make = make
        self.connections = connections
        self.header_secs = header_secs
        self.idle_secs = idle_secs
        self.by_transport: dict[asyncio.BaseTransport, Guard] = {}

    def protocol(self) -> Guard:
        """The protocol of a new connection."""
        return Guard(self)


class Guard(asyncio.Protocol):
    """Stands before aiohttp's protocol: lets a connection in, and cuts it when a header is slow.

    The header's time runs from the first byte of a request until its handler begins, the idle time
    is for a new connection that says nothing; later silence is aiohttp's keep-alive.
    """

    def __init__(self, guards: Guards) -> None:
        self._guards = guards
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_handling = False
        self._has_spoken = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, or close it."""
        self._transport = cast("asyncio.Transport", transport)
        if not self._guards.connections.enter("http", transport):
            self._transport.abort()
            return
        self._guards.by_transport[transport] = self
        self._inner = self._guards.make()
        self._inner.connection_made(transport)
        self._start_timer(self._guards.idle_secs)

    def data_received(self, data: bytes) -> None:
        """Hand on; the first byte of a request starts its time."""
        if self._inner is None:
            return
        if not self._is_handling and (self._timer is None or not self._has_spoken):
            self._has_spoken = True
            self._start_timer(self._guards.header_secs)
        self._inner.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Hand on and count."""
        self._stop_timer()
        if self._inner is not None and self._transport is not None:
            self._guards.connections.leave("http", self._transport)
            del self._guards.by_transport[self._transport]
            self._inner.connection_lost(exc)

    def eof_received(self) -> bool | None:
        """Hand on."""
        if self._inner is None:
            return None
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """Hand on."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hand on."""
        if self._inner is not None:
            self._inner.resume_writing()

    def begin(self) -> None:
        """A request's header is whole and its handler begins: the clock stops."""
        self._is_handling = True
        self._stop_timer()

    def end(self) -> None:
        """The handler is done."""
        self._is_handling = False

    def _start_timer(self, secs: float) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(secs, self._cut)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cut(self) -> None:
        self._guards.connections.refuse("http", "slow_head")
        if self._transport is not None:
            self._transport.abort()
