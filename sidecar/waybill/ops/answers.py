"""The bodies of answers, no more of them than is wanted."""

from __future__ import annotations

import aiohttp

__all__ = ["beginning_of"]


async def beginning_of(content: aiohttp.StreamReader, most_bytes: int) -> bytes:
    """The first ``most_bytes`` of a body, in however many pieces it comes.

    ``content.read(n)`` gives what has come so far, which may be less than is to come.

    Raises:
        aiohttp.ClientError: the connection broke.
    """
    whole = bytearray()
    while len(whole) < most_bytes:
        piece = await content.read(most_bytes - len(whole))
        if not piece:
            break
        whole += piece
    return bytes(whole)
