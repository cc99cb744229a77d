"""Snappy as senders write it: one raw block, or its framing format, which names itself.

>>> unsnappy(bytes(cramjam.snappy.compress(b"a record")), 1000)
b'a record'
"""

from __future__ import annotations

import cramjam

from waybill.core.errors import MalformedError

__all__ = ["unsnappy"]

#: The chunk that every framed stream begins with.
_FRAMED = b"\xff\x06\x00\x00sNaPpY"
_HEAD_BYTES, _SUM_BYTES = 4, 4
_COMPRESSED, _PLAIN = 0, 1
#: Behind the last chunk: no chunk begins so. NULs may be the head of one that is cut.
_FILLING = b"\t\n\r "
#: Each holds 64 KiB at most, and costs time however little it holds.
_MOST_CHUNKS = 65_536


def unsnappy(body: bytes, limit_bytes: int) -> bytes:
    """What ``body`` holds; the size that it claims is checked before anything is allocated.

    Raises:
        MalformedError: ``too_large``, ``truncated_snappy``, ``corrupt_snappy``.
    """
    try:
        if body.startswith(_FRAMED):
            size, end = _framed_size(body, limit_bytes)
            _check_size(size, limit_bytes)
            return bytes(cramjam.snappy.decompress(body[:end]))
        size = cramjam.snappy.decompress_raw_len(body)
        _check_size(size, limit_bytes)
        # The densest element is a 3-byte copy of 64 bytes: a longer claim cannot be met.
        if size > 64 * len(body):
            raise MalformedError("truncated_snappy", "the block is shorter than it declares")
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        raise MalformedError("corrupt_snappy", str(error)) from None


def _check_size(size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        raise MalformedError("too_large", f"snappy declares {size} bytes or more")


def _framed_size(body: bytes, limit_bytes: int) -> tuple[int, int]:
    """What all chunks say that they hold, or so much of it that it is more than the limit; and
    where they end.

    Raises:
        MalformedError: ``truncated_snappy``; ``too_large``: too many chunks.
        cramjam.DecompressionError: a block without its size.
    """
    size = at = chunks = 0
    stop = len(body.rstrip(_FILLING))
    while at < stop and size <= limit_bytes:
        chunks += 1
        if chunks > _MOST_CHUNKS:
            raise MalformedError("too_large", f"snappy: more than {_MOST_CHUNKS} chunks")
        start = at + _HEAD_BYTES
        at = start + int.from_bytes(body[at + 1 : start], "little")
        kind = body[start - _HEAD_BYTES]
        if start > len(body) or at > len(body):
            raise MalformedError("truncated_snappy", "the stream ends within a chunk")
        if kind == _COMPRESSED:
            size += cramjam.snappy.decompress_raw_len(body[start + _SUM_BYTES : at])
        elif kind == _PLAIN:
            size += max(0, at - start - _SUM_BYTES)
    return size, at
