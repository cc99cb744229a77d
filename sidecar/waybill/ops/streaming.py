"""Answers that are written as they are made, and given up when the client does not read them."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web

__all__ = ["write_within"]

log = logging.getLogger(__name__)


async def write_within(
    request: web.Request, answer: web.StreamResponse, data: bytes, secs: float
) -> None:
    """Write a piece of an answer that was begun.

    Raises:
        ConnectionError: it was not read within ``secs``, or the client left; the connection is
            closed.
    """
    try:
        async with asyncio.timeout(secs):
            await answer.write(data)
    except TimeoutError:
        log.warning("an answer was not read in time", extra={"path": request.path})
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the answer was not read in time") from None
