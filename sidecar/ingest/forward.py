"""Forward ingest: batches from ``out_forward``, over TCP or a unix socket.

A client that asks for an acknowledgement gets it when its records are handed back; when they cannot
be, the connection is closed without one and the client sends again. A client that does not ask has no
way to learn of trouble: its records are tried until they are handed back, and meanwhile nothing more is
read from it, so that the pressure reaches it through TCP.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

from sidecar.config import ForwardSettings, split_address
from sidecar.errors import HandbackError, MalformedError, OverloadedError
from sidecar.flow import Delivery, Flow
from sidecar.ops.auth import ServerTls, WatchedFile
from sidecar.wire import forward as protocol

log = logging.getLogger(__name__)
_READ_BYTES = 1 << 18
_HANDSHAKE_SECS = 10.0
#: Between attempts for a client that cannot be told to come back.
_RETRY_SECS = 1.0


class ForwardServer:
    """Listens for Forward clients; `pause` stops reading, `stop` closes everything."""

    def __init__(self, settings: ForwardSettings, flow: Flow, tls: ServerTls | None) -> None:
        self._settings, self._flow, self._tls = settings, flow, tls
        self._key = WatchedFile(settings.shared_key_file) if settings.shared_key_file else None
        self._servers: list[asyncio.Server] = []
        self._readers: set[asyncio.Task[None]] = set()
        self._gauge = flow.metrics.connections.labels("forward")
        self._is_pausing = asyncio.Event()
        self.addresses: list[str] = []

    async def start(self) -> None:
        """Open the sockets. Raises OSError."""
        context = self._tls.context if self._tls else None
        if self._settings.listen:
            host, port = split_address(self._settings.listen)
            server = await asyncio.start_server(self._serve, host, port, ssl=context, limit=_READ_BYTES)
            self._servers.append(server)
            self.addresses += ["{}:{}".format(*sock.getsockname()[:2]) for sock in server.sockets]
        if self._settings.unix:
            # A socket file that a killed process left behind would refuse us the address.
            with contextlib.suppress(FileNotFoundError):
                await asyncio.to_thread(Path(self._settings.unix).unlink)
            server = await asyncio.start_unix_server(self._serve, self._settings.unix, ssl=context, limit=_READ_BYTES)
            self._servers.append(server)
            self.addresses.append(self._settings.unix)

    def pause(self) -> None:
        """Accept no connection and begin no message any more; messages under way go on."""
        self._is_pausing.set()
        for server in self._servers:
            server.close()

    async def stop(self) -> None:
        """Close every connection; a message that is still under way stays its client's."""
        self.pause()
        for task in self._readers:
            task.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._readers.add(task)
        self._gauge.inc()
        try:
            if self._key is None or await self._shake_hands(reader, writer, self._key):
                await self._receive(reader, writer)
        except MalformedError as error:
            self._flow.metrics.refused.labels("forward", error.code).inc()
            log.warning("a Forward connection was closed", extra={"reason": error.code, "detail": error.detail})
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client went away
        except (OverloadedError, HandbackError) as error:
            log.warning("a Forward message was not taken; its client keeps it", extra={"reason": error.code})
        except Exception:  # the task's edge: one connection ends, the client sends again elsewhere
            self._flow.metrics.refused.labels("forward", "internal").inc()
            log.exception("a Forward connection failed in a way that nobody foresaw")
        finally:
            self._gauge.dec()
            self._readers.discard(task)
            writer.close()

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = protocol.FrameReader(self._flow.limits.body_bytes)
        async for data in self._chunks(reader):
            for message in frames.feed(data):
                await self._deliver(message)
                if message.chunk is not None:
                    writer.write(message.ack)
                    await writer.drain()
                if self._is_pausing.is_set():
                    return

    async def _chunks(self, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        """What the client sends, until it ends or we are pausing."""
        pausing = asyncio.ensure_future(self._is_pausing.wait())
        try:
            while True:
                reading = asyncio.ensure_future(reader.read(_READ_BYTES))
                try:
                    await asyncio.wait((reading, pausing), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not reading.done():
                        reading.cancel()
                if not reading.done() or reading.cancelled() or not (data := reading.result()):
                    return
                yield data
        finally:
            pausing.cancel()

    async def _deliver(self, message: protocol.Message) -> None:
        """Hand the message's records back; without an acknowledgement to withhold, until it succeeds.

        Raises:
            OverloadedError, HandbackError, MalformedError: the client must send the message again.
        """
        has_ack = message.chunk is not None
        delivery = Delivery(
            message.entries, "forward", "application/msgpack", message.encodings, message.tag, is_final=not has_ack
        )
        while True:
            try:
                with self._flow.inflight.hold() as grow:
                    grow(len(delivery.body))
                    await self._flow.run(delivery, grow)
                return
            except MalformedError as error:
                if error.is_kept or not has_ack:
                    return
                raise
            except (OverloadedError, HandbackError) as error:
                if has_ack:
                    raise
                log.warning("records wait for the receiver; nothing more is read", extra={"reason": error.code})
                await asyncio.sleep(_RETRY_SECS)

    async def _shake_hands(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key_file: WatchedFile
    ) -> bool:
        """HELO, PING, PONG; whether the client knows the shared key."""
        key_file.refresh()
        key, nonce = key_file.content.strip(), secrets.token_hex(8).encode()
        writer.write(protocol.helo(nonce))
        try:
            async with asyncio.timeout(_HANDSHAKE_SECS):
                answer, is_known = protocol.pong(await reader.read(65_536), nonce, self._settings.hostname, key)
        except (ValueError, TimeoutError):
            answer, is_known = b"", False
        writer.write(answer)
        await writer.drain()
        if not is_known:
            self._flow.metrics.refused.labels("forward", "unauthorised").inc()
            log.warning("a Forward client does not know the shared key")
        return is_known
