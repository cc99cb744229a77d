"""Handback by Fluent Forward: to Fluent Bit's ``forward`` input, Vector's ``fluent`` source, Fluentd.

The best way back into Fluent Bit: tag, metadata and nanoseconds are kept, and each frame is done only
when the receiver has acknowledged exactly this frame. A connection on which anything odd happened is
closed and never used again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from urllib.parse import unquote, urlsplit

from waybill.core.errors import HandbackError
from waybill.core.names import HandbackName
from waybill.core.records import Batch, Verdict
from waybill.handback.target import client_tls, render, return_tag
from waybill.ops.auth import WatchedFile
from waybill.settings.schema import ReturnSettings
from waybill.wire import Codec, MsgpackCodec
from waybill.wire import forward as protocol
from waybill.wire.compression import compress
from waybill.wire.transcode import drop_metadata, msgpack_entries

#: Between attempts on one frame; a receiver in trouble is not asked more than about once a second.
_RETRY_SECS = 1.0
_HANDSHAKE_SECS = 5.0
_READ_BYTES = 65_536
_HOSTNAME = "waybill"


class ForwardHandback:
    """Pushes labelled entries to ``settings.url`` and waits for each acknowledgement."""

    name: HandbackName = "forward"

    def __init__(self, settings: ReturnSettings, now: Callable[[], float] = time.time) -> None:
        assert settings.url is not None
        self._settings, self._now = settings, now
        self._pool = _Pool(settings)

    async def hand_back(self, codec: Codec, batch: Batch, verdicts: Sequence[Verdict]) -> None:
        """Push the records, in frames of at most ``max_bytes`` of entries, in order.

        Raises:
            HandbackError: ``connect``, ``timeout``, ``closed``, ``ack_mismatch``, ``handshake``.
        """

        def entries_of_batch() -> list[bytes]:
            entries = msgpack_entries(codec, batch, verdicts, self._now)
            return (
                [drop_metadata(entry) for entry in entries]
                if self._settings.metadata == "drop"
                else entries
            )

        entries = await render(
            batch, entries_of_batch, keeps_encoding=isinstance(codec, MsgpackCodec)
        )
        push = _Push(self._pool, self._settings, return_tag(self._settings.tag_prefix, batch.tag))
        try:
            async with asyncio.timeout(self._settings.timeout_secs):
                for start, stop in _frames(entries, self._settings.max_bytes):
                    await push.send(entries[start:stop])
        except TimeoutError:
            raise push.last_error from None

    async def close(self) -> None:
        """Close the pooled connections; those in use close when they are given back."""
        self._pool.close()


class _Push:
    """The frames of one batch on their way; remembers why they are not there yet."""

    def __init__(self, pool: _Pool, settings: ReturnSettings, tag: str) -> None:
        self._pool, self._settings, self._tag = pool, settings, tag
        self.last_error = HandbackError("timeout", "the receiver did not acknowledge in time")

    async def send(self, entries: Sequence[bytes]) -> None:
        """Send one frame, again and again until it is acknowledged; the caller sets the deadline."""
        data, compression = b"".join(entries), self._settings.compression
        if compression != "none":
            data = await asyncio.to_thread(compress, data, compression)
        message, chunk = protocol.pack_message(self._tag, data, len(entries), compression)
        while True:
            try:
                return await self._pool.send(message, chunk)
            except HandbackError as error:
                self.last_error = error
            await asyncio.sleep(_RETRY_SECS)


class _Connection:
    """One connection to the receiver."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._used_at = time.monotonic()

    def is_fresh(self, idle_secs: float) -> bool:
        """Whether it was used within ``idle_secs`` and the receiver has not closed it since."""
        is_open = not (self._reader.at_eof() or self._writer.is_closing())
        return is_open and time.monotonic() - self._used_at < idle_secs

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> bytes:
        """The one message that the receiver owes us; more than one is as wrong as none."""
        answer = protocol.AnswerReader()
        while data := await self._reader.read(_READ_BYTES):
            try:
                whole = answer.feed(data)
            except ValueError as error:
                raise HandbackError("ack_mismatch", str(error)) from None
            if whole is not None:
                self._used_at = time.monotonic()
                return whole
        raise HandbackError("closed", "the receiver closed the connection")

    def close(self) -> None:
        """Close at once: what the receiver has not read by now it must not get any more."""
        self._writer.transport.abort()


class _Pool:
    """At most ``settings.connections`` connections, opened when needed, kept while they are good."""

    def __init__(self, settings: ReturnSettings) -> None:
        self._settings = settings
        self._tls = client_tls(settings.tls)
        self._key_file = WatchedFile(settings.shared_key_file) if settings.shared_key_file else None
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
                raise HandbackError("ack_mismatch", "the receiver did not acknowledge this frame")
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
        """Close ``connection``, and the idle ones with it, unless all goes well (cancellation included)."""
        try:
            yield
        except OSError as error:
            self._drop(connection)
            raise HandbackError("closed", type(error).__name__) from None
        except BaseException:
            self._drop(connection)
            raise

    def _drop(self, connection: _Connection) -> None:
        connection.close()
        # The receiver was replaced, perhaps: its predecessor's connections are not worth a try each.
        self._close_free()

    async def _open(self) -> _Connection:
        parts = urlsplit(self._settings.url or "")
        tls, name = self._tls, (parts.hostname or "localhost") if self._tls else None
        try:
            if parts.scheme == "forward+unix":
                streams = await asyncio.open_unix_connection(
                    unquote(parts.path), ssl=tls, server_hostname=name
                )
            else:
                streams = await asyncio.open_connection(
                    parts.hostname, parts.port, ssl=tls, server_hostname=name
                )
        except (OSError, ValueError) as error:  # ValueError: a name that IDNA does not take
            raise HandbackError("connect", type(error).__name__) from None
        connection = _Connection(*streams)
        if self._key_file is not None:
            async with self._lent(connection):
                await self._shake_hands(connection, self._key_file)
        return connection

    async def _shake_hands(self, connection: _Connection, key_file: WatchedFile) -> None:
        key_file.refresh()
        key = key_file.content.strip()
        try:
            async with asyncio.timeout(_HANDSHAKE_SECS):
                ping, check = protocol.ping(await connection.answer(), _HOSTNAME, key)
                await connection.send(ping)
                is_accepted = protocol.is_pong(await connection.answer(), check, key)
        except (ValueError, OSError, HandbackError) as error:
            raise HandbackError("handshake", type(error).__name__) from None
        if not is_accepted:
            raise HandbackError("handshake", "the shared keys differ")

    def _close_free(self) -> None:
        for connection in self._free:
            connection.close()
        self._free.clear()

    def close(self) -> None:
        self._is_closed = True
        self._close_free()


def _frames(entries: Sequence[bytes], max_bytes: int) -> Iterator[tuple[int, int]]:
    """Runs (start, stop) of at most ``max_bytes``; a bigger entry goes alone."""
    start = size = 0
    for i, entry in enumerate(entries):
        size += len(entry)
        if size > max_bytes and i > start:
            yield start, i
            start, size = i, len(entry)
    if start < len(entries):
        yield start, len(entries)
