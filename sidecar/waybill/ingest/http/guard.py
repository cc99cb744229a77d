"""How long an HTTP client may take to say what it wants.

aiohttp does not bound it: a client that sends a header byte by byte would hold a connection for as
long as it likes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp import web

from waybill.ingest.connections import Place
from waybill.wire.strangers import FIRST_BYTES

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guards:
    """Makes a `Guard` for each connection of one server, and finds the one of a request.

    ``make`` gives aiohttp's protocol; times are in seconds.
    """

    def __init__(
        self,
        make: Callable[[], asyncio.Protocol],
        header_secs: float,
        idle_secs: float,
    ) -> None:
        self.make = make
        self.header_secs = header_secs
        self.idle_secs = idle_secs
        self.by_transport: dict[asyncio.BaseTransport, Guard] = {}

    def protocol(self, place: Place) -> Guard:
        """The protocol of a new connection that was let in."""
        return Guard(self, place)


class Guard(asyncio.Protocol):
    """Stands before aiohttp's protocol and cuts the connection when a header is slow.

    The header's time runs from the first byte of a request until its handler begins, the idle time
    is for a new connection that says nothing; later silence is aiohttp's keep-alive.
    """

    def __init__(self, guards: Guards, place: Place) -> None:
        self._guards = guards
        self._place = place
        self._inner = guards.make()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_handling = False
        self._has_spoken = False
        #: The beginning of the request that is read, to tell what is not HTTP.
        self.first = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand on, and begin to wait."""
        self._transport = cast("asyncio.Transport", transport)
        self._guards.by_transport[transport] = self
        self._inner.connection_made(transport)
        self._start_timer(self._guards.idle_secs)

    def data_received(self, data: bytes) -> None:
        """Hand on; the first byte of a request starts its time."""
        if not self._is_handling and (self._timer is None or not self._has_spoken):
            self._has_spoken = True
            self.first = data[:FIRST_BYTES]
            self._start_timer(self._guards.header_secs)
        self._inner.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Hand on and count."""
        self._stop_timer()
        self._place.leave()
        if self._transport is not None:
            del self._guards.by_transport[self._transport]
        self._inner.connection_lost(exc)

    def eof_received(self) -> bool | None:
        """Hand on."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """Hand on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hand on."""
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
        self._place.refuse("slow_head")
        if self._transport is not None:
            self._transport.abort()
