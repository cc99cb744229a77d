"""Just enough of protobuf's wire format to find fields and to write them.

Field numbers, wire types and varints as in https://protobuf.dev/programming-guides/encoding/.
Readers take a range of a buffer, never look behind its end and raise ValueError on what is no
protobuf.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, LENGTH, GROUP, GROUP_END, FIXED32 = range(6)
#: A 64-bit number in groups of 7 bits.
_VARINT_BYTES = 10
#: Nested groups; current writers have none at all.
_MAX_GROUPS = 100

Field = tuple[int, int, int, int, int]


def varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The number at ``at`` and the offset behind it. Raises ValueError."""
    if at < end and data[at] < 0x80:
        return data[at], at + 1
    value = shift = 0
    for here in range(at, min(at + _VARINT_BYTES, end)):
        byte = data[here]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, here + 1
        shift += 7
    raise ValueError("a number is cut or too long")


def fields(data: bytes, at: int, end: int) -> Iterator[Field]:
    """The fields in ``data[at:end]``: (number, wire type, field start, value start, value end).

    The value of a ``LENGTH`` field is what its length announces. Raises ValueError.
    """
    while at < end:
        tag, value_at = varint(data, at, end)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise ValueError("no such field number")
        if kind == LENGTH:
            size, value_at = varint(data, value_at, end)
            stop = value_at + size
        elif kind == GROUP:
            stop = _group_end(data, value_at, end, number)
        else:
            stop = _scalar_end(data, value_at, end, kind)
        if stop > end:
            raise ValueError("a field is cut")
        yield number, kind, at, value_at, stop
        at = stop


def _scalar_end(data: bytes, at: int, end: int, kind: int) -> int:
    if kind == VARINT:
        return varint(data, at, end)[1]
    if kind == FIXED64:
        return at + 8
    if kind == FIXED32:
        return at + 4
    raise ValueError("no such wire type")


def _group_end(data: bytes, at: int, end: int, number: int) -> int:
    """The offset behind the group ``number`` whose first field is at ``at``."""
    open_groups = [number]
    while open_groups:
        tag, at = varint(data, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == GROUP_END:
            if number != open_groups.pop():
                raise ValueError("a group ends that is not open")
        elif kind == GROUP:
            open_groups.append(number)
            if len(open_groups) > _MAX_GROUPS:
                raise ValueError("groups are nested too deep")
        elif kind == LENGTH:
            size, at = varint(data, at, end)
            at += size
        else:
            at = _scalar_end(data, at, end, kind)
    return at


def pack_varint(value: int) -> bytes:
    """``value`` (0 to 2**64 - 1) in as few bytes as it needs."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def pack_field(number: int, payload: bytes) -> bytes:
    """A ``LENGTH`` field: a string, bytes or a message."""
    head = pack_varint(number << 3 | LENGTH) + pack_varint(len(payload))
    return b"".join((head, payload))  # where it is large, others have a turn


def pack_number(number: int, value: int) -> bytes:
    """A ``VARINT`` field; a negative number as its two's complement of 64 bits."""
    return pack_varint(number << 3 | VARINT) + pack_varint(value & (1 << 64) - 1)
