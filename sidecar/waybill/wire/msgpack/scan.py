"""The tolerant msgpack reader: ranges and headers without building objects, never recursive.

Formats as in the MessagePack specification
(https://github.com/msgpack/msgpack/blob/master/spec.md).
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Mapping, Sequence

from waybill.core.prepare import is_blank

#: Small integers, nil, false and true.
_ONE_BYTE = re.compile(rb"[\x00-\x7f\xc0\xc2\xc3\xe0-\xff]+")
_FIXED_BYTES = {
    0xC0: 1, 0xC2: 1, 0xC3: 1,
    0xCA: 5, 0xCB: 9,
    0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9,
    0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9,
    0xD4: 3, 0xD5: 4, 0xD6: 6, 0xD7: 10, 0xD8: 18,
}  # fmt: skip
#: head byte -> (bytes of the length field, bytes between it and the payload)
_SIZED = {
    0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0),
    0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1),
    0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0),
}  # fmt: skip
_COUNTED = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
_STRINGS = frozenset((0xD9, 0xDA, 0xDB, 0xC4, 0xC5, 0xC6))


def header(data: bytes, at: int) -> tuple[int, int, int]:
    """The value at ``at`` as (bytes of its head, bytes of its payload, values nested in it).

    Raises:
        ValueError: on the one byte that msgpack never uses (0xC1), or past the end of ``data``.
    """
    if at >= len(data):
        raise ValueError("past the end")
    byte = data[at]
    if byte <= 0x7F or byte >= 0xE0:
        return 1, 0, 0
    if byte <= 0x8F:
        return 1, 0, 2 * (byte & 0x0F)
    if byte <= 0x9F:
        return 1, 0, byte & 0x0F
    if byte <= 0xBF:
        return 1, byte & 0x1F, 0
    if byte in _FIXED_BYTES:
        return 1, _FIXED_BYTES[byte] - 1, 0
    if byte in _SIZED:
        width, extra = _SIZED[byte]
        return 1 + width + extra, _uint(data, at + 1, width), 0
    if byte in _COUNTED:
        width, each = _COUNTED[byte]
        return 1 + width, 0, each * _uint(data, at + 1, width)
    raise ValueError("0xC1 is never used")


def run_end(data: bytes, at: int, most: int) -> int:
    """The offset behind the values of one byte each that stand at ``at``, ``most`` of them at most.

    It is ``at`` without such a value. A step of Python for each of many would take seconds.
    """
    found = _ONE_BYTE.match(data, at, at + most)
    return at if found is None else found.end()


def value_end(data: bytes, at: int, most: float = math.inf) -> int:
    """The offset behind the value at ``at``.

    It is -1 when it does not end within ``data``, or holds more than ``most`` values.
    """
    needed = 1
    while needed:
        run = run_end(data, at, needed)
        if run > at:
            needed -= run - at
            at = run
            continue
        try:
            head, payload, nested = header(data, at)
        except ValueError:
            return -1
        at += head + payload
        if at > len(data):
            return -1
        needed += nested - 1
        most -= nested
        if most < 0:
            return -1
    return at


def map_header(data: bytes, at: int) -> tuple[int, int] | None:
    """The map at ``at`` as (members, bytes of its head); None when no map stands there."""
    if not (0 <= at < len(data) and is_map(data[at])):
        return None
    try:
        head, _, nested = header(data, at)
    except ValueError:
        return None
    return nested // 2, head


def pack_map_header(count: int) -> bytes:
    """The shortest head for a map of ``count`` members."""
    if count <= 15:
        return bytes((0x80 | count,))
    if count <= 0xFFFF:
        return struct.pack(">BH", 0xDE, count)
    return struct.pack(">BI", 0xDF, count)


def is_map(byte: int) -> bool:
    """Whether a value that begins with ``byte`` is a map."""
    return 0x80 <= byte <= 0x8F or byte in (0xDE, 0xDF)


def is_array(byte: int) -> bool:
    """Whether a value that begins with ``byte`` is an array."""
    return 0x90 <= byte <= 0x9F or byte in (0xDC, 0xDD)


def payload_at(data: bytes, at: int) -> bytes | None:
    """The bytes of the str or bin value at ``at``; None for another kind."""
    span = payload_span(data, at)
    return None if span is None else data[slice(*span)]


def payload_span(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the bytes of the str or bin value at ``at`` begin and end; None for another kind."""
    if not (0xA0 <= data[at] <= 0xBF or data[at] in _STRINGS):
        return None
    head, payload, _ = header(data, at)
    return at + head, at + head + payload


def text_at(data: bytes, at: int) -> str | None:
    """The str or bin at ``at`` as text (not UTF-8: U+FFFD); None for another kind."""
    payload = payload_at(data, at)
    if payload is None:
        return None
    return payload.decode("utf-8", "replace")


def members(data: bytes, start: int) -> Iterator[tuple[str | None, int, int, int]]:
    """The members of the map at ``start``: (key, key start, value start, value end).

    The key is None when it is not a string.
    """
    found = map_header(data, start)
    if found is None:
        return
    count, head = found
    at = start + head
    for _ in range(count):
        value_at = value_end(data, at)
        if value_at < 0:
            return
        end = value_end(data, value_at)
        if end < 0:
            return
        yield text_at(data, at), at, value_at, end
        at = end


def find(data: bytes, start: int, path: Sequence[str]) -> int | None:
    """The offset of the value at ``path`` in the map at ``start``; the last of twins wins."""
    at = start
    for key in path:
        found = [value_at for name, _, value_at, _ in members(data, at) if name == key]
        if not found:
            return None
        at = found[-1]
    return at


def find_string(
    data: bytes, top: Mapping[str, int], paths: Sequence[Sequence[str]]
) -> tuple[str | None, bool]:
    """The first of ``paths`` that leads to a string that is not blank.

    Beside it: whether any before it led to another kind of value.

    ``top`` has the members of a map: where the value of each name begins.
    """
    other = False
    for key, *below in paths:
        at = top.get(key)
        if at is not None and below:
            at = find(data, at, below)
        if at is None:
            continue
        text = text_at(data, at)
        if text is not None:
            if not is_blank(text):
                return text, other
            continue
        other = other or data[at] != 0xC0
    return None, other


def without(data: bytes, start: int, names: frozenset[str]) -> bytes:
    """The map at ``start`` without its members ``names``; the others byte for byte."""
    kept = [
        data[key_at:stop] for name, key_at, _, stop in members(data, start) if name not in names
    ]
    return pack_map_header(len(kept)) + b"".join(kept)


def _uint(data: bytes, at: int, width: int) -> int:
    if at + width > len(data):
        raise ValueError("past the end")
    return int.from_bytes(data[at : at + width], "big")
