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
from urllib.parse import urlsplit

import msgpack

from sidecar.config import ReturnSettings
from sidecar.errors import HandbackError
from sidecar.handback.target import client_tls, return_tag
from sidecar.ops.auth import WatchedFile
from sidecar.records import Batch, Verdict
from sidecar.wire import Codec
from sidecar.wire import forward as protocol
from sidecar.wire.compression import compress
from sidecar.wire.transcode import drop_metadata, msgpack_entries

#: Between attempts on one frame; a receiver in trouble is not asked more than about once a second.
_RETRY_SECS = 1.0
_READ_BYTES = 65_536
#: An answer is a map of one short string; nothing longer is waited for.
_MAX_ANSWER_BYTES = 65_536


class ForwardHandback:
    """Pushes labelled entries to ``settings.url`` and waits for each acknowledgement."""

    name = "forward"

    def __init__(self, settings: ReturnSettings, now: Callable[[], float] = time.time) -> None:
        assert settings.url is not None
        self._settings, self._now = settings, now
        self._pool = _Pool(settings)

    async def hand_back(self, codec: Codec, batch: Batch, verdicts: Sequence[Verdict]) -> None:
        """Push the records, in frames of at most ``max_bytes`` of entries.

        Raises:
            HandbackError: ``connect``, ``timeout``, ``closed``, ``ack_mismatch``, ``handshake``.
        """
        entries = msgpack_entries(codec, batch, verdicts, self._now)
        if self._settings.metadata == "drop":
            entries = [drop_metadata(entry) for entry in entries]
        tag = return_tag(self._settings.tag_prefix, batch.tag)
        last_error = HandbackError("timeout", "the receiver did not acknowledge in time")
        try:
            async with asyncio.timeout(self._settings.timeout_secs):
                for start, stop in _frames(entries, self._settings.max_bytes):
                    data = b"".join(entries[start:stop])
                    if self._settings.compression != "none":
                        data = await asyncio.to_thread(compress, data, self._settings.compression)
                    is_retry = False
                    while True:
                        try:
                            await self._pool.send(tag, data, stop - start, is_retry=is_retry)
                            break
                        except HandbackError as error:
                            last_error, is_retry = error, True
                            await asyncio.sleep(_RETRY_SECS)
        except TimeoutError:
            raise last_error from None

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._pool.close()


class _Connection:
    """One connection to the receiver."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.used_at = time.monotonic()

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> bytes:
        """The one message that the receiver owes us; more than one is as wrong as none."""
        unpacker = msgpack.Unpacker(raw=True, max_buffer_size=_MAX_ANSWER_BYTES)
        received = b""
        while True:
            data = await self._reader.read(_READ_BYTES)
            if not data:
                raise HandbackError("closed", "the receiver closed the connection")
            received += data
            try:
                unpacker.feed(data)
                unpacker.skip()
            except msgpack.OutOfData:
                continue
            except (ValueError, msgpack.UnpackException):
                raise HandbackError("ack_mismatch", "the receiver answers something else") from None
            if unpacker.tell() != len(received):
                raise HandbackError("ack_mismatch", "the receiver answers more than it was asked")
            self.used_at = time.monotonic()
            return received

    def close(self) -> None:
        self._writer.close()


class _Pool:
    """At most ``settings.connections`` connections, opened when needed, kept while they are good."""

    def __init__(self, settings: ReturnSettings) -> None:
        self._settings = settings
        self._tls = client_tls(settings.tls)
        self._key = WatchedFile(settings.shared_key_file) if settings.shared_key_file else None
        self._free: list[_Connection] = []
        self._slots = asyncio.Semaphore(settings.connections)

    async def send(self, tag: str, entries: bytes, count: int, *, is_retry: bool) -> None:
        """Send one frame and wait until it is acknowledged. Raises HandbackError."""
        message, chunk = protocol.pack_message(tag, entries, count, self._settings.compression)
        async with self._slots:
            while (connection := self._pooled()) is not None and not is_retry:
                # What the receiver closed while it was idle says nothing about its health.
                with contextlib.suppress(HandbackError):
                    return await self._send_on(connection, message, chunk)
            await self._send_on(await self._open(), message, chunk)

    async def _send_on(self, connection: _Connection, message: bytes, chunk: bytes) -> None:
        async with self._lent(connection):
            await connection.send(message)
            if not protocol.is_ack(await connection.answer(), chunk):
                raise HandbackError("ack_mismatch", "the receiver did not acknowledge this frame")

    def _pooled(self) -> _Connection | None:
        while self._free:
            connection = self._free.pop()
            if time.monotonic() - connection.used_at < self._settings.idle_secs:
                return connection
            connection.close()
        return None

    @contextlib.asynccontextmanager
    async def _lent(self, connection: _Connection) -> AsyncIterator[None]:
        """Put ``connection`` back when all went well, close it otherwise (cancellation included)."""
        try:
            yield
        except OSError as error:
            connection.close()
            raise HandbackError("closed", type(error).__name__) from None
        except BaseException:
            connection.close()
            raise
        self._free.append(connection)

    async def _open(self) -> _Connection:
        parts = urlsplit(self._settings.url or "")
        try:
            if parts.scheme == "forward+unix":
                streams = await asyncio.open_unix_connection(parts.path, ssl=self._tls)
            else:
                streams = await asyncio.open_connection(parts.hostname, parts.port, ssl=self._tls)
        except OSError as error:
            raise HandbackError("connect", type(error).__name__) from None
        connection = _Connection(*streams)
        if self._key is not None:
            await self._shake_hands(connection, self._key)
        return connection

    async def _shake_hands(self, connection: _Connection, key_file: WatchedFile) -> None:
        key_file.refresh()
        key = key_file.content.strip()
        try:
            ping, check = protocol.ping(await connection.answer(), "waybill", key)
            await connection.send(ping)
            is_accepted = protocol.is_pong(await connection.answer(), check, key)
        except (ValueError, OSError, HandbackError) as error:
            connection.close()
            raise HandbackError("handshake", type(error).__name__) from None
        except BaseException:
            connection.close()
            raise
        if not is_accepted:
            connection.close()
            raise HandbackError("handshake", "the shared keys differ")

    async def close(self) -> None:
        for connection in self._free:
            connection.close()
        self._free.clear()


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
