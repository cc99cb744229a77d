"""Compressed bodies made whole again, in memory that was counted before it is taken."""

from __future__ import annotations

import asyncio

from waybill.core.errors import MalformedError
from waybill.flow.delivery import Delivery
from waybill.flow.inflight import Inflight
from waybill.wire.compression import decompress

__all__ = ["inflate_body"]

#: Up to this a compressed body is tried on the event loop, if it holds no more than the other.
_INLINE_COMPRESSED_BYTES = 4 << 10
_INLINE_BYTES = 256 << 10
#: Logs shrink to a tenth, repetitive ones to a thirtieth; a bomb is a thousand times its size or
#: more. What is larger than this is inflated once more, when there is room for the largest body.
_TIMES = 32
#: The pieces, and the whole that is made of them.
_COPIES = 2


async def inflate_body(delivery: Delivery, limit_bytes: int, inflight: Inflight) -> bytes:
    """The body of ``delivery`` without its encodings. Its bytes are the caller's to count.

    Raises:
        MalformedError: as `waybill.wire.compression.decompress`.
        OverloadedError: ``inflight_bytes``: there was no room for it in time.
    """
    body = delivery.body
    is_small = len(body) <= _INLINE_COMPRESSED_BYTES and len(delivery.encodings) == 1
    if is_small and limit_bytes > _INLINE_BYTES:
        try:
            return decompress(body, delivery.encodings, _INLINE_BYTES)
        except MalformedError as error:
            if error.code != "too_large":
                raise
    expected = _TIMES * len(body)
    if expected < limit_bytes:
        try:
            return await _with_room(delivery, expected, inflight)
        except MalformedError as error:
            if error.code != "too_large":
                raise
    return await _with_room(delivery, limit_bytes, inflight)


async def _with_room(delivery: Delivery, limit_bytes: int, inflight: Inflight) -> bytes:
    async with inflight.room(_COPIES * limit_bytes):
        return await asyncio.to_thread(decompress, delivery.body, delivery.encodings, limit_bytes)
