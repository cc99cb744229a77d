"""Connections to a Fluent Forward receiver, each frame acknowledged on the one it went by.

A connection on which anything unexpected happened is closed and never used again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from urllib.parse import unquote, urlsplit

from waybill.core.errors import HandbackError
from waybill.core.streams import send
from waybill.handback.push import PassingError, cause
from waybill.handback.target import client_tls
from waybill.ops.secret_file import SecretFile
from waybill.settings.schema import ReturnSettings
from waybill.wire import forward as protocol

_HANDSHAKE_SECS = 5.0
_READ_BYTES = 65_536
_HOSTNAME = "waybill"


class _Connection:
    """One connection to the receiver."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._used_at = time.monotonic()

    def is_fresh(self, idle_secs: float) -> bool:
        """Whether it was used within ``idle_secs`` and the receiver has not closed it since."""
        if self._reader.at_eof() or self._writer.is_closing():
            return False
        return time.monotonic() - self._used_at < idle_secs

    async def send(self, data: bytes) -> None:
        await send(self._writer, data)

    async def answer(self) -> bytes:
        """The one message that the receiver owes us; more than one is as wrong as none."""
        answer = protocol.AnswerReader()
        while data := await self._reader.read(_READ_BYTES):
            try:
                whole = answer.feed(data)
            except ValueError as error:
                raise PassingError("ack_mismatch", cause(error)) from None
            if whole is not None:
                self._used_at = time.monotonic()
                return whole
        raise PassingError("closed", "the receiver closed the connection")

    def close(self) -> None:
        """Close at once: what the receiver has not read by now it must not get any more."""
        self._writer.transport.abort()


class ForwardPool:
    """At most ``settings.connections``, opened when needed, kept while they are good."""

    def __init__(self, settings: ReturnSettings) -> None:
        self._settings = settings
        self._tls = client_tls(settings.tls)
        self._key: SecretFile | None = None
        if settings.shared_key_file:
            self._key = SecretFile(
                settings.shared_key_file, "return.shared_key_file", is_header=False
            )
        self._free: list[_Connection] = []
        self._slots = asyncio.Semaphore(settings.connections)
        self._is_closed = False

    async def send(self, message: bytes, chunk: bytes) -> None:
        """Send one frame and wait until it is acknowledged. Raises HandbackError."""
        async with self._slots:
            connection = self._pooled()
            if connection is not None:
                try:
                    await self._send_on(connection, message, chunk)
                    return
                except HandbackError as error:
                    # What the receiver closed while it was idle says nothing about its health.
                    if error.code != "closed":
                        raise
            await self._send_on(await self._open(), message, chunk)

    async def _send_on(self, connection: _Connection, message: bytes, chunk: bytes) -> None:
        async with self._lent(connection):
            await connection.send(message)
            if not protocol.is_ack(await connection.answer(), chunk):
                raise PassingError("ack_mismatch", "the receiver did not acknowledge this frame")
        if self._is_closed:
            connection.close()
        else:
            self._free.append(connection)

    def _pooled(self) -> _Connection | None:
        while self._free:
            connection = self._free.pop()
            if connection.is_fresh(self._settings.idle_secs):
                return connection
            connection.close()
        return None

    @contextlib.asynccontextmanager
    async def _lent(self, connection: _Connection) -> AsyncIterator[None]:
        """Close ``connection``, and the idle ones with it, unless all goes well.

        Cancellation is not well, either: an answer may still be on its way.
        """
        try:
            yield
        except OSError as error:
            self._drop(connection)
            raise PassingError("closed", cause(error)) from None
        except BaseException:
            self._drop(connection)
            raise

    def _drop(self, connection: _Connection) -> None:
        connection.close()
        # The receiver was replaced, perhaps: the old connections are not worth a try each.
        self._close_free()

    async def _open(self) -> _Connection:
        try:
            connection = _Connection(*await self._connect())
        except (OSError, ValueError) as error:  # ValueError: a name that IDNA does not take
            raise PassingError("connect", cause(error)) from None
        if self._key is not None:
            async with self._lent(connection):
                await self._shake_hands(connection, self._key().encode())
        return connection

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        tls = self._tls
        target = urlsplit(self._settings.url or "")
        name = None
        if tls is not None:
            name = target.hostname or "localhost"
        if target.scheme == "forward+unix":
            path = unquote(target.path)
            return await asyncio.open_unix_connection(path, ssl=tls, server_hostname=name)
        host = target.hostname
        return await asyncio.open_connection(host, target.port, ssl=tls, server_hostname=name)

    async def _shake_hands(self, connection: _Connection, key: bytes) -> None:
        try:
            async with asyncio.timeout(_HANDSHAKE_SECS):
                ping, check = protocol.ping(await connection.answer(), _HOSTNAME, key)
                await connection.send(ping)
                is_accepted = protocol.is_pong(await connection.answer(), check, key)
        except (ValueError, OSError, HandbackError) as error:
            raise PassingError("handshake", cause(error)) from None
        if not is_accepted:
            raise PassingError("handshake", "the shared keys differ")

    def _close_free(self) -> None:
        for connection in self._free:
            connection.close()
        self._free.clear()

    def close(self) -> None:
        """Close what is idle; what is in use closes when it is given back."""
        self._is_closed = True
        self._close_free()
