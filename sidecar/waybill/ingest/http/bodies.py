"""Reading what a request brings, within time and size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from waybill.core.errors import MalformedError, OverloadedError
from waybill.core.names import Ingest
from waybill.core.tags import clean_tag
from waybill.flow.delivery import Delivery
from waybill.flow.inflight import Grow
from waybill.ops.deadletter import DeadLetters
from waybill.wire.compression import compression_of, encodings_of

_TAG_HEADERS = ("X-Waybill-Tag", "Fluent-Tag", "X-Fluent-Tag")
#: Bodies beyond it are put together on a thread: a megabyte takes up to a millisecond, most of it
#: for the pages of memory.
_JOINED_BYTES = 8 << 20


class BodyReader:
    """Reads bodies of at most ``limit_bytes`` that come within ``timeout_secs``.

    ``limit_name`` says in answers what limits them; what is larger is offered to ``dead_letters``,
    if there are any.
    """

    def __init__(
        self,
        limit_bytes: int,
        timeout_secs: float,
        dead_letters: DeadLetters | None = None,
        limit_name: str = "limits.body_bytes",
    ) -> None:
        self._limit_name = limit_name
        self._limit_bytes = limit_bytes
        self._timeout_secs = timeout_secs
        self._dead_letters = dead_letters

    async def receive(self, request: web.Request, grow: Grow, ingest: Ingest) -> Delivery:
        """The request's body, not inflated yet, and what its head says about it; of what nobody
        names gzip and zstd show by their first bytes.

        Raises:
            MalformedError: as `read`, or ``unsupported_encoding``.
            OverloadedError: as `read`.
        """
        body = await self.read(request, grow)
        encodings = encodings_of(request.headers.get("Content-Encoding"), body)
        unnamed = compression_of(body)
        if unnamed is not None and not encodings:
            encodings = [unnamed]
        return Delivery(
            body=body,
            ingest=ingest,
            content_type=request.headers.get("Content-Type", "").lower(),
            encodings=encodings,
            tag=tag_of(request),
        )

    async def read(self, request: web.Request, grow: Grow) -> bytes:
        """The body as sent.

        Raises:
            MalformedError: ``too_large``; it was offered to the dead-letter folder.
            OverloadedError: ``slow_body`` when its time is up, or too much is in flight.
        """
        try:
            async with asyncio.timeout(self._timeout_secs):
                chunks = await self._read_chunks(request, grow)
        except TimeoutError:
            # 408 would be the word for it, but OTLP clients take 408 for final.
            raise OverloadedError("slow_body") from None
        if len(chunks) == 1:
            return chunks[0]
        if sum(map(len, chunks)) > _JOINED_BYTES:
            return await asyncio.to_thread(b"".join, chunks)
        return b"".join(chunks)

    async def _read_chunks(self, request: web.Request, grow: Grow) -> list[bytes]:
        chunks: list[bytes] = []
        size = 0
        if (request.content_length or 0) > self._limit_bytes:
            await self._refuse_large(request, [])
        async for chunk in request.content.iter_any():
            size += len(chunk)
            if size > self._limit_bytes:
                await self._refuse_large(request, [*chunks, chunk])
            grow(len(chunk))
            chunks.append(chunk)
        return chunks

    async def _refuse_large(self, request: web.Request, read: Sequence[bytes]) -> None:
        """Offer a body past the limit to the dead-letter folder. Raises MalformedError."""
        limit = f"more than {self._limit_name} ({self._limit_bytes} bytes)"
        error = MalformedError("too_large", limit)
        if self._dead_letters is None:
            raise error

        async def pieces() -> AsyncIterator[bytes]:
            for chunk in read:
                yield chunk
            async for chunk in request.content.iter_any():
                yield chunk

        error.is_kept = await self._dead_letters.keep_stream(pieces(), error.code)
        raise error


def tag_of(request: web.Request) -> str:
    """The batch's tag, from the path or a header, made clean."""
    tag = request.match_info.get("tag", "").rstrip("/")
    for name in _TAG_HEADERS:
        tag = tag or request.headers.get(name, "")
    return clean_tag(tag)
