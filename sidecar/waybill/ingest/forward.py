"""Forward ingest: batches from ``out_forward``, over TCP or a unix socket.

A client that asks for an acknowledgement gets it when its records are handed back; when they cannot
be, the connection is closed without one and the client sends again. A client that does not ask has no
way to learn of trouble: its records are tried until they are handed back, and meanwhile nothing more is
read from it, so that the pressure reaches it through TCP.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
import socket
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from waybill.core.errors import (
    ConfigError,
    HandbackError,
    MalformedError,
    OverloadedError,
    WaybillError,
)
from waybill.core.reasons import RefusalReason
from waybill.flow.delivery import Delivery
from waybill.flow.flow import Flow
from waybill.ingest.connections import Connections
from waybill.ops.auth import ServerTls, WatchedFile
from waybill.settings.addresses import split_address
from waybill.settings.schema import ForwardSettings
from waybill.wire import forward as protocol

log = logging.getLogger(__name__)
_READ_BYTES = 1 << 18
_HANDSHAKE_SECS = 10.0
#: Between attempts for a client that cannot be told to come back.
_RETRY_SECS = 1.0
#: After `pause` a client's last words are what comes without a gap longer than this.
_LAST_WORDS_SECS = 0.2
#: How long `stop` waits for messages under way; what is drained before needs none of it.
_STOP_SECS = 5.0
_CLOSE_SECS = 2.0
#: A unix socket is for its owner and group: in a pod the shipper shares the latter.
_SOCKET_MODE = 0o660
_BACKLOG = 128
#: A client that vanished without a word is noticed after two minutes.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))


class _NotTakenError(WaybillError):
    """A message that its client keeps; counted already."""

    code: RefusalReason

    def __init__(self, code: RefusalReason) -> None:
        super().__init__(code)
        self.code = code


class ForwardServer:
    """Listens for Forward clients; `pause` takes what was sent before it, `stop` closes everything.

    Raises:
        ConfigError: the shared key is empty.
    """

    def __init__(
        self,
        settings: ForwardSettings,
        flow: Flow,
        tls: ServerTls | None,
        connections: Connections,
        reuse_port: bool = False,
        shared_unix: socket.socket | None = None,
    ) -> None:
        self._settings, self._flow, self._tls, self._connections = settings, flow, tls, connections
        self._reuse_port, self._shared_unix = reuse_port, shared_unix
        self._key_file = WatchedFile(settings.shared_key_file) if settings.shared_key_file else None
        if self._key_file is not None and not self._key_file.content.strip():
            raise ConfigError(["forward.shared_key_file: an empty key would let everyone in"])
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._reads: set[asyncio.Timeout] = set()
        self._is_pausing = self._is_stopped = False
        self.addresses: list[str] = []

    # -- life -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the sockets. Raises OSError."""
        options: dict[str, Any] = {"limit": _READ_BYTES}
        if self._tls is not None:
            options |= {"ssl": self._tls.context, "ssl_handshake_timeout": _HANDSHAKE_SECS}
        if self._settings.listen:
            host, port = split_address(self._settings.listen)
            server = await asyncio.start_server(
                self._accept, host, port, reuse_port=self._reuse_port or None, **options
            )
            self._servers.append(server)
            self.addresses += [_address(sock.getsockname()) for sock in server.sockets]
        if path := self._settings.unix:
            unix = self._shared_unix or await asyncio.to_thread(listen_unix, path)
            self._servers.append(
                await asyncio.start_unix_server(self._accept, sock=unix, **options)
            )
            self.addresses.append(path)

    def pause(self) -> None:
        """Accept no connection any more; take what clients without acknowledgements have sent already."""
        if self._is_pausing:
            return
        self._is_pausing = True
        for server in self._servers:
            server.close()
        for read in self._reads:
            read.reschedule(asyncio.get_running_loop().time() + _LAST_WORDS_SECS)

    async def stop(self) -> None:
        """Let messages under way end, then close every connection."""
        self.pause()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_SECS)
        self._is_stopped = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._settings.unix in self.addresses and self._shared_unix is None:
            await asyncio.to_thread(Path(self._settings.unix).unlink, missing_ok=True)
        self.addresses.clear()

    # -- one connection -------------------------------------------------------------------------

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # It may have been on its way when the listener closed.
        if self._is_stopped or not self._connections.enter("forward", writer.transport):
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            _keep_alive(writer)
            if self._key_file is None or await self._shake_hands(reader, writer, self._key_file):
                await self._receive(reader, writer)
        except MalformedError as error:
            self._refuse(error.code)
            log.warning(
                "a Forward connection was closed",
                extra={"reason": error.code, "detail": error.detail},
            )
        except _NotTakenError as error:
            log.warning(
                "a Forward message was not taken; its client keeps it", extra={"reason": error.code}
            )
        except OSError:
            pass  # the client went away
        except Exception:  # the task's edge: one connection ends, the client sends again
            self._refuse("internal")
            log.exception("a Forward connection failed in a way that nobody foresaw")
        finally:
            self._connections.leave("forward", writer.transport)
            await _close(writer)

    def _refuse(self, reason: RefusalReason) -> None:
        self._flow.metrics.refused.labels("forward", reason).inc()

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take messages one by one, in order; the next is not looked at before the last is done."""
        frames = protocol.FrameReader(self._flow.limits.body_bytes)
        while data := await self._read(reader):
            for message in frames.feed(data):
                if message.chunk is None:
                    await self._insist(_delivery(message))
                else:
                    await self._deliver(_delivery(message))
                    writer.write(message.ack)
                    await writer.drain()

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        """What the client sends next; nothing when it ended or, while we are pausing, fell silent."""
        try:
            async with asyncio.timeout(_LAST_WORDS_SECS if self._is_pausing else None) as patience:
                self._reads.add(patience)
                try:
                    return await reader.read(_READ_BYTES)
                finally:
                    self._reads.discard(patience)
        except TimeoutError:
            return b""

    async def _shake_hands(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key_file: WatchedFile
    ) -> bool:
        """HELO, PING, PONG; whether the client knows the shared key."""
        key_file.refresh()
        nonce, answer, is_known = secrets.token_hex(8).encode(), b"", False
        writer.write(protocol.helo(nonce))
        try:
            async with asyncio.timeout(_HANDSHAKE_SECS):
                ping = await self._answer(reader)
            answer, is_known = protocol.pong(
                ping, nonce, self._settings.hostname, key_file.content.strip()
            )
        except (ValueError, TimeoutError):
            pass  # no Forward client, or none that shakes hands
        writer.write(answer)
        await writer.drain()
        if not is_known:
            self._refuse("unauthorised")
            log.warning("a Forward client does not know the shared key")
        return is_known

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        answer = protocol.AnswerReader()
        while data := await self._read(reader):
            if (whole := answer.feed(data)) is not None:
                return whole
        raise ConnectionResetError

    # -- one message ----------------------------------------------------------------------------

    async def _deliver(self, delivery: Delivery) -> None:
        """Hand the records back once; what fails is sent again by the client, who gets no acknowledgement.

        What nobody can ever read counts as taken when the dead-letter folder has it.
        """
        if self._is_pausing:
            self._refuse("draining")
            raise _NotTakenError("draining")
        try:
            with self._flow.inflight.hold() as grow:
                self._grow(grow, delivery)
                await self._flow.run(delivery, grow)
        except MalformedError as error:
            if not error.is_kept:
                raise _NotTakenError(error.code) from None
        except (OverloadedError, HandbackError) as error:
            raise _NotTakenError(error.code) from None

    async def _insist(self, delivery: Delivery) -> None:
        """Hand the records back, however long it takes: their client has forgotten them."""
        try:
            await self._wait_for_room(delivery)
        except MalformedError as error:
            if not error.is_kept:
                log.error("a message that nobody can read is lost", extra={"reason": error.code})
        except BaseException as error:
            is_stopped = isinstance(error, asyncio.CancelledError)
            reason: RefusalReason = "stopped" if is_stopped else "internal"
            if is_stopped:
                self._refuse(reason)
            is_kept = await self._flow.dead_letters.keep(delivery.body, reason, delivery.encodings)
            log.error("records were not handed back", extra={"reason": reason, "is_kept": is_kept})
            raise

    async def _wait_for_room(self, delivery: Delivery) -> None:
        while True:
            try:
                with self._flow.inflight.hold() as grow:
                    self._grow(grow, delivery)
                    await self._wait_for_receiver(delivery)
                return
            except (
                OverloadedError
            ) as error:  # nothing is held meanwhile, or all could wait for each other
                log.warning(
                    "records wait for room; nothing more is read", extra={"reason": error.code}
                )
            await asyncio.sleep(_RETRY_SECS)

    async def _wait_for_receiver(self, delivery: Delivery) -> None:
        while True:
            try:
                with self._flow.inflight.hold() as grow:
                    await self._flow.run(delivery, grow)
                return
            except HandbackError as error:
                log.warning(
                    "records wait for the receiver; nothing more is read",
                    extra={"reason": error.code},
                )
            await asyncio.sleep(_RETRY_SECS)

    def _grow(self, grow: Callable[[int], None], delivery: Delivery) -> None:
        try:
            grow(len(delivery.body))
        except OverloadedError as error:
            self._refuse(error.code)
            raise


def _delivery(message: protocol.Message) -> Delivery:
    return Delivery(
        message.entries,
        "forward",
        "application/msgpack",
        message.encodings,
        message.tag,
        is_final=message.chunk is None,
    )


def _address(name: Sequence[Any]) -> str:
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


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


def listen_unix(path: str) -> socket.socket:
    """A listening socket at ``path``, for our user and group. Raises OSError."""
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(path)
        Path(path).chmod(_SOCKET_MODE)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _remove_stale(path: str) -> None:
    """Remove the socket file that a killed process left behind, and nothing else. Raises OSError."""
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "a file that is no socket is in the way", path)
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
        else:
            raise OSError(errno.EADDRINUSE, "another process listens here", path)
