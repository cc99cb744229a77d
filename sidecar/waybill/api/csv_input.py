"""The bytes of a table that a client sends: read in time, and inflated as they come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence

from aiohttp import web

from waybill.api.upload import file_reader
from waybill.core.errors import MalformedError, OverloadedError
from waybill.core.names import Compression
from waybill.wire.compression import decompress
from waybill.wire.inflate import Inflater

__all__ = ["inflated", "inflating_bytes", "read_chunks"]

_CHUNK_BYTES = 1 << 16
#: The largest window that a zstd stream may ask for (`waybill.wire.compression`).
_WINDOW_BYTES = 8 << 20
#: A table that is longer than limits.body_bytes may inflate to so many times what was sent: tables
#: of logs reach 10 to 60.
_MOST_TIMES = 250


async def read_chunks(
    request: web.Request, row_bytes: int, read_secs: float
) -> AsyncIterator[bytes]:
    """The table's bytes, in the time that the client has: ``read_secs`` for each ``row_bytes``.

    Only the waiting counts: how long rows take to be labelled is not the client's fault.

    Raises:
        OverloadedError: ``slow_body``.
    """
    read = await file_reader(request, read_secs, _CHUNK_BYTES)
    waited = 0.0
    size = 0
    while True:
        begin = time.monotonic()
        left = read_secs * (1 + size // row_bytes) - waited
        try:
            async with asyncio.timeout(max(left, 0)):
                chunk = await read()
        except TimeoutError:
            raise OverloadedError("slow_body") from None
        waited += time.monotonic() - begin
        if not chunk:
            return
        size += len(chunk)
        yield chunk


def inflating_bytes(encodings: Sequence[Compression], limit_bytes: int) -> int:
    """What undoing ``encodings`` takes beside what comes out."""
    if not encodings:
        return 0
    if not _is_stream(encodings):
        return limit_bytes
    return _WINDOW_BYTES if encodings[0] == "zstd" else 0


def _is_stream(encodings: Sequence[Compression]) -> bool:
    return len(encodings) == 1 and encodings[0] != "snappy"


def inflated(
    chunks: AsyncIterator[bytes], encodings: Sequence[Compression], limit_bytes: int
) -> AsyncIterator[bytes]:
    """The chunks with their encodings undone. Raises MalformedError."""
    if not encodings:
        return chunks
    if _is_stream(encodings):
        return _inflated_stream(chunks, encodings[0], limit_bytes)
    return _inflated_whole(chunks, encodings, limit_bytes)


async def _inflated_whole(
    chunks: AsyncIterator[bytes], encodings: Sequence[Compression], limit_bytes: int
) -> AsyncIterator[bytes]:
    """What is not a stream, or rare: read whole, within the limit of one body."""
    whole = bytearray()
    async for chunk in chunks:
        whole += chunk
        if len(whole) > limit_bytes:
            raise MalformedError("too_large", "more than limits.body_bytes, not as a stream")
    data = await asyncio.to_thread(decompress, bytes(whole), encodings, limit_bytes)
    for piece in _cut(data):
        yield piece


async def _inflated_stream(
    chunks: AsyncIterator[bytes], encoding: Compression, limit_bytes: int
) -> AsyncIterator[bytes]:
    """A stream as it comes; how much it inflates is bounded, not how long it is."""
    inflater = Inflater(encoding)
    sent = 0
    size = 0
    async for chunk in chunks:
        sent += len(chunk)
        for data in inflater.feed(chunk):
            size += len(data)
            if size > limit_bytes and size > _MOST_TIMES * sent:
                raise MalformedError(
                    "too_large", f"inflates to more than {_MOST_TIMES} times its size"
                )
            for piece in _cut(data):
                yield piece
    inflater.finish()


def _cut(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), _CHUNK_BYTES):
        yield data[at : at + _CHUNK_BYTES]
