"""How a connection comes in: counted first, then, where TLS is on, encrypted.

    accept -> Entrance: a place of `Connections` -> TLS handshake -> the listener's own protocol

A TLS server of asyncio hands a connection over when its handshake is done. A client that does not
shake hands would hold a descriptor that no limit knows of.
"""

from __future__ import annotations

import asyncio
import functools
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from typing import cast

from waybill.core.names import Ingest
from waybill.ingest.connections import Connections, Place
from waybill.ops.handshakes import fault_of_handshake
from waybill.ops.tls import ServerTls

#: Makes the protocol of a connection that was let in; the protocol leaves the place at its end.
Make = Callable[[Place], asyncio.Protocol]
#: What a TLS connection has for what came in: bytes as they came, and as many that the listener
#: does not want yet. asyncio has 256 KB of each for every connection, and no limit counts them. A
#: TLS record has at most 16 KB (RFC 8446, 5.1).
_TLS_READ_BYTES = 32 << 10


class Entrance:
    """Lets connections in to the protocols that ``make`` makes.

    A connection without TLS is handed over at once. One with ``tls`` has ``handshake_secs`` for its
    handshake, and is closed and counted as refused when it takes longer or fails.
    """

    def __init__(
        self,
        ingest: Ingest,
        connections: Connections,
        make: Make,
        tls: ServerTls | None,
        handshake_secs: float,
    ) -> None:
        self._ingest: Ingest = ingest
        self._connections = connections
        self._make = make
        self._tls = tls
        self._handshake_secs = handshake_secs
        self._handshakes: dict[asyncio.Transport, Place] = {}

    def protocol(self) -> asyncio.Protocol:
        """What a server that accepts connections makes of each."""
        return _Arrival(self.admit)

    def close(self) -> None:
        """End the handshakes that are under way. Can be called twice."""
        for transport, place in self._handshakes.items():
            place.leave()
            transport.abort()

    def admit(self, transport: asyncio.Transport) -> None:
        """Give a new connection a place and what speaks with it, or close it."""
        place = self._connections.enter(self._ingest, transport)
        if place is None:
            transport.abort()
            return
        protocol = self._make(place)
        if self._tls is not None:
            protocol = self._tls_protocol(protocol, transport, place, self._tls)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)

    def _tls_protocol(
        self, inner: asyncio.Protocol, transport: asyncio.Transport, place: Place, tls: ServerTls
    ) -> asyncio.Protocol:
        """The protocol that shakes hands and speaks TLS for ``inner``.

        It is asyncio's own, without its ``start_tls``: that begins in a task, and under uvloop what
        the client says until then would be lost.
        """
        loop = asyncio.get_running_loop()
        handshake = loop.create_future()
        self._handshakes[transport] = place
        handshake.add_done_callback(functools.partial(self._end_handshake, transport))
        protocol = _TlsProtocol(
            loop,
            inner,
            tls.context,
            handshake,
            server_side=True,
            ssl_handshake_timeout=self._handshake_secs,  # type: ignore[arg-type]  # takes floats
        )
        return cast("asyncio.Protocol", protocol)

    def _end_handshake(
        self, transport: asyncio.Transport, handshake: asyncio.Future[object]
    ) -> None:
        """A handshake is over: its connection has become the listener's, or it ends."""
        place = self._handshakes.pop(transport)
        error = handshake.exception()
        if error is not None:
            place.refuse("handshake", fault_of_handshake(error))
            place.leave()


class _TlsProtocol(SSLProtocol):
    """asyncio's TLS with smaller buffers."""

    max_size = _TLS_READ_BYTES

    def _set_read_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        super()._set_read_buffer_limits(high or _TLS_READ_BYTES, low)  # type: ignore[misc]


class _Arrival(asyncio.Protocol):
    """The protocol of a connection until it is admitted, which is at once."""

    def __init__(self, admit: Callable[[asyncio.Transport], None]) -> None:
        self._admit = admit

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a place."""
        self._admit(cast("asyncio.Transport", transport))
