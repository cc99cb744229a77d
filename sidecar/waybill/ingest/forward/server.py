"""The Forward listener: batches from ``out_forward``, over TCP or a unix socket.

A client that asks for an acknowledgement gets it when its records are handed back; when they cannot
be, the connection is closed without one and the client sends again. A client that does not ask has
no way to learn of trouble: its records are tried until they are handed back, and meanwhile nothing
more is read from it, so that the pressure reaches it through TCP.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from pathlib import Path

from waybill.core.errors import ConfigError
from waybill.ingest.connections import Connections, Place
from waybill.ingest.entrance import Entrance
from waybill.ingest.forward.conversation import HANDSHAKE_SECS, Conversation, Handshake
from waybill.ingest.forward.delivering import Deliverer
from waybill.ingest.forward.reads import BUFFER_BYTES, Reads
from waybill.ingest.forward.sockets import keep_alive, listen_unix
from waybill.ingest.listener import Intake
from waybill.ops.secret_file import SecretFile
from waybill.ops.tls import ServerTls
from waybill.settings.addresses import cannot_listen, cannot_listen_unix, split_address
from waybill.settings.schema import ForwardSettings

#: How long `stop` waits for messages under way; what is drained before needs none of it.
_STOP_SECS = 5.0
_CLOSE_SECS = 2.0


class ForwardServer:
    """Listens for Forward clients; `pause` takes what was sent before it, `stop` closes everything.

    Raises:
        ConfigError: the shared key cannot be used.
    """

    def __init__(
        self,
        settings: ForwardSettings,
        intake: Intake,
        connections: Connections,
        tls: ServerTls | None = None,
        *,
        shares_address: bool = False,
        shared_unix: socket.socket | None = None,
    ) -> None:
        self.addresses: list[str] = []
        self._settings = settings
        self._entrance = Entrance("forward", connections, self._protocol, tls, HANDSHAKE_SECS)
        self._shares_address = shares_address
        self._shared_unix = shared_unix
        self._reads = Reads()
        handshake = _handshake(settings)
        deliverer = Deliverer(intake)
        self._conversation = Conversation(deliverer, self._reads, intake.body_bytes, handshake)
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopped = False

    async def start(self) -> None:
        """Open the sockets. Raises ConfigError."""
        listen, unix = self._settings.listen, self._settings.unix
        if listen:
            try:
                await self._listen_tcp(listen)
            except OSError as error:
                raise ConfigError([cannot_listen("forward.listen", listen, error)]) from error
        if unix:
            try:
                await self._listen_unix(unix)
            except OSError as error:
                raise ConfigError([cannot_listen_unix("forward.unix", unix, error)]) from error

    async def _listen_tcp(self, address: str) -> None:
        host, port = split_address(address)
        server = await asyncio.get_running_loop().create_server(
            self._entrance.protocol, host, port, reuse_port=self._shares_address or None
        )
        self._servers.append(server)
        for sock in server.sockets:
            self.addresses.append(_address(sock.getsockname()))

    async def _listen_unix(self, path: str) -> None:
        sock = self._shared_unix
        if sock is None:
            sock = await asyncio.to_thread(listen_unix, path)
        server = await asyncio.get_running_loop().create_unix_server(
            self._entrance.protocol, sock=sock
        )
        self._servers.append(server)
        self.addresses.append(path)

    def pause(self) -> None:
        """Accept no connection any more; take what clients without acknowledgements have sent."""
        if self._reads.is_paused:
            return
        for server in self._servers:
            server.close()
        self._reads.pause()

    async def stop(self) -> None:
        """Let messages under way end, then close every connection."""
        self.pause()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_SECS)
        self._is_stopped = True
        self._entrance.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        path = self._settings.unix
        if path and path in self.addresses and self._shared_unix is None:
            await asyncio.to_thread(Path(path).unlink, missing_ok=True)
        self.addresses.clear()

    def _protocol(self, place: Place) -> asyncio.Protocol:
        """What speaks with a connection that was let in: asyncio's streams."""

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._begin(place, reader, writer)

        reader = asyncio.StreamReader(limit=BUFFER_BYTES)
        return asyncio.StreamReaderProtocol(reader, begin)

    def _begin(
        self, place: Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._is_stopped:  # it was on its way when the listener closed
            place.leave()
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(place, reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(
        self, place: Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            with contextlib.suppress(OSError):  # the client went away
                keep_alive(writer)
            await self._conversation.run(reader, writer)
        finally:
            place.leave()
            await _close(writer)


def _handshake(settings: ForwardSettings) -> Handshake | None:
    if not settings.shared_key_file:
        return None
    path = settings.shared_key_file
    key = SecretFile(path, "forward.shared_key_file", is_header=False)
    return Handshake(key, settings.hostname)


def _address(name: Sequence[object]) -> str:
    host, port = name[:2]
    if ":" in str(host):
        return f"[{host}]:{port}"
    return f"{host}:{port}"


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close once what was written is out, or at once when that takes too long."""
    writer.close()
    try:
        async with asyncio.timeout(_CLOSE_SECS):
            await writer.wait_closed()
    except OSError:  # TimeoutError is one
        pass
    finally:
        writer.transport.abort()
