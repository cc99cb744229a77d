"""Writing answers: what a client does not read is counted while it waits, and not kept for ever."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

from aiohttp import web

from waybill.flow.inflight import Grow
from waybill.ingest.http.errors import about
from waybill.ingest.http.guard import Handler

log = logging.getLogger(__name__)

#: What fits into the buffers of a socket is on its way at once.
_SMALL_BYTES = 64 << 10
_PIECE_BYTES = 256 << 10


class Writing:
    """The middleware that writes large answers, within ``secs`` and counted by ``hold``.

    One answer counts with at most ``most_bytes``, so that it can be written when nothing else is
    under way.
    """

    def __init__(
        self, hold: Callable[[], AbstractContextManager[Grow]], secs: float, most_bytes: int
    ) -> None:
        self._hold = hold
        self._secs = secs
        self._most_bytes = most_bytes

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request; an answer that is not read in time ends with its connection.

        Raises:
            OverloadedError: too much waits to be read.
        """
        answer = await handler(request)
        if not isinstance(answer, web.Response) or not isinstance(answer.body, bytes):
            return answer
        size = len(answer.body)
        if size <= _SMALL_BYTES or answer.prepared:
            return answer
        written = web.StreamResponse(status=answer.status, headers=answer.headers)
        written.content_length = size
        with self._hold() as grow:
            grow(min(size, self._most_bytes))
            try:
                async with asyncio.timeout(self._secs):
                    await _write(request, written, answer.body)
            except TimeoutError:
                log.warning("an answer was not read in time", extra=about(request))
                if request.transport is not None:
                    request.transport.abort()
            except ConnectionError as error:
                # A shipper that was stopped, or lost patience: it sends the batch again.
                error.__traceback__ = None  # what waited to write keeps it, and so the answer
                log.info("a client left before its answer was written", extra=about(request))
        return written


async def _write(request: web.Request, answer: web.StreamResponse, body: bytes) -> None:
    """Write in pieces: the socket's buffer would hold a second copy of the whole."""
    await answer.prepare(request)
    view = memoryview(body)
    for at in range(0, len(body), _PIECE_BYTES):
        await answer.write(view[at : at + _PIECE_BYTES])
    await answer.write_eof()
