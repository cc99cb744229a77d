"""How many connections there may be, in all and from one client.

A client that opens connections holds descriptors for as long as it likes. A connection too many is
closed at once, which makes every shipper come back later.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections import Counter

from waybill.core.names import Ingest
from waybill.core.reasons import ConnectionReason
from waybill.ops.metrics import Metrics
from waybill.settings.schema import LimitSettings

log = logging.getLogger(__name__)
#: Of the descriptors that we may open; the rest is for pushes, logs, files and child processes.
_SHARE_OF_FILES = 0.75


class Connections:
    """Counts the connections of all listeners."""

    def __init__(self, limits: LimitSettings, metrics: Metrics) -> None:
        self._metrics = metrics
        self._per_client = limits.connections_per_client
        self._limit = limits.connections
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if files > 0:
            self._limit = min(limits.connections, int(files * _SHARE_OF_FILES))
        if self._limit < limits.connections:
            log.warning(
                "limits.connections is more than this process may open files",
                extra={"limit": self._limit},
            )
        self._count = 0
        self._clients: Counter[str] = Counter()

    def enter(self, ingest: Ingest, transport: asyncio.BaseTransport) -> Place | None:
        """A place for one more, which the caller must leave; None where no more may come."""
        # Asked once: a TLS transport knows no peer any more when it is closed.
        client = client_of(transport)
        if self._count >= self._limit:
            self.refuse(ingest, "total", client)
            return None
        if client and self._clients[client] >= self._per_client:
            self.refuse(ingest, "client", client)
            return None
        self._count += 1
        self._clients[client] += 1
        self._metrics.connections.labels(ingest).inc()
        return Place(self, ingest, client)

    def release(self, ingest: Ingest, client: str) -> None:
        """A connection that was let in is over; `Place.leave` says so, once."""
        self._count -= 1
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]
        self._metrics.connections.labels(ingest).dec()

    def refuse(
        self, ingest: Ingest, reason: ConnectionReason, client: str, detail: str = ""
    ) -> None:
        """Count a connection of ``client`` that is closed because of ``reason``."""
        self._metrics.connections_refused.labels(ingest, reason).inc()
        fields = {"ingest": ingest, "reason": reason, "peer": client}
        if detail:
            fields["detail"] = detail
        log.warning("a connection was closed", extra=fields)


class Place:
    """What one connection takes of the limits, from its first packet to its end."""

    def __init__(self, connections: Connections, ingest: Ingest, client: str) -> None:
        self.ingest = ingest
        self._connections = connections
        self._client = client
        self._is_left = False

    def leave(self) -> None:
        """The connection is over. Can be called again."""
        if not self._is_left:
            self._is_left = True
            self._connections.release(self.ingest, self._client)

    def refuse(self, reason: ConnectionReason, detail: str = "") -> None:
        """Count the connection as closed because of ``reason``."""
        self._connections.refuse(self.ingest, reason, self._client, detail)


def client_of(transport: asyncio.BaseTransport) -> str:
    """The client's address; empty where it has none (a unix socket)."""
    peer = transport.get_extra_info("peername")
    if isinstance(peer, tuple) and peer:
        return str(peer[0])
    return ""
