"""OTLP's ``AnyValue`` and ``KeyValue`` in protobuf as plain Python values and back.

A plain value is None, str, bool, int, float, bytes, or a list or dict of them.
Field numbers as in opentelemetry-proto's common.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping

from waybill.wire.allowance import Allowance
from waybill.wire.event import members_of
from waybill.wire.otlp import protobuf
from waybill.wire.otlp.protobuf import LENGTH

STRING, BOOL, INT, DOUBLE, ARRAY, KVLIST, BYTES = range(1, 8)
#: Lists in lists at most: protobuf readers give up at 100 messages in one another, and each level
#: is three.
MAX_DEPTH = 32
INT64 = range(-(2**63), 2**63)
#: Of KeyValueList and ArrayValue.
_VALUES = 1


def read_value(data: bytes, start: int, end: int) -> object:
    """The ``AnyValue`` in ``data[start:end]``.

    Raises:
        ValueError: it is broken, nested too deep, or holds too many values.
    """
    return _Reader(data).value(start, end, MAX_DEPTH)


def read_pairs(data: bytes, start: int, end: int, number: int) -> list[tuple[str, object]]:
    """The ``KeyValue`` messages in field ``number`` of the message in ``data[start:end]``.

    Raises as `read_value`.
    """
    return _Reader(data).pairs(start, end, number, MAX_DEPTH)


class _Reader:
    """Reads the values of one message."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._allowance = Allowance()

    def value(self, start: int, end: int, depth: int) -> object:
        if not depth:
            raise ValueError("values are nested too deep")
        data = self._data
        value: object = None
        for number, kind, _, at, stop in protobuf.fields(data, start, end):
            self._allowance.take()
            if kind == LENGTH and number in _SIZED:
                value = _SIZED[number](self, at, stop, depth - 1)
            elif (number, kind) == (DOUBLE, protobuf.FIXED64):
                (value,) = struct.unpack_from("<d", data, at)
            elif (number, kind) == (BOOL, protobuf.VARINT):
                value = bool(protobuf.varint(data, at, stop)[0])
            elif (number, kind) == (INT, protobuf.VARINT):
                raw, _ = protobuf.varint(data, at, stop)
                value = raw - (1 << 64) * (raw >> 63)
        return value

    def pairs(self, start: int, end: int, number: int, depth: int) -> list[tuple[str, object]]:
        pairs: list[tuple[str, object]] = []
        for key, value_at, value_end in find_pairs(self._data, start, end, number):
            self._allowance.take()
            pairs.append((key, self.value(value_at, value_end, depth)))
        return pairs

    def text(self, at: int, stop: int, _depth: int) -> str:
        return self._data[at:stop].decode("utf-8", "replace")

    def octets(self, at: int, stop: int, _depth: int) -> bytes:
        return self._data[at:stop]

    def members(self, at: int, stop: int, depth: int) -> dict[str, object]:
        return members_of(self.pairs(at, stop, _VALUES, depth))

    def items(self, at: int, stop: int, depth: int) -> list[object]:
        items: list[object] = []
        for number, kind, _, item_at, item_end in protobuf.fields(self._data, at, stop):
            if (number, kind) == (_VALUES, LENGTH):
                self._allowance.take()
                items.append(self.value(item_at, item_end, depth))
        return items


#: Readers of the kinds of value that have a length.
_SIZED: dict[int, Callable[[_Reader, int, int, int], object]] = {
    STRING: _Reader.text, BYTES: _Reader.octets, KVLIST: _Reader.members, ARRAY: _Reader.items
}  # fmt: skip


def find_pairs(data: bytes, start: int, end: int, number: int) -> Iterator[tuple[str, int, int]]:
    """`read_pairs` as `read_pair` gives them: without a look at the values."""
    for found, kind, _, at, stop in protobuf.fields(data, start, end):
        if (found, kind) == (number, LENGTH):
            yield read_pair(data, at, stop)


def read_pair(data: bytes, start: int, end: int) -> tuple[str, int, int]:
    """The ``KeyValue`` in ``data[start:end]``: (key, start and end of its AnyValue)."""
    key = b""
    span = (end, end)
    for number, kind, _, at, stop in protobuf.fields(data, start, end):
        if (number, kind) == (1, LENGTH):
            key = data[at:stop]
        elif (number, kind) == (2, LENGTH):
            span = (at, stop)
    return key.decode("utf-8", "replace"), *span


def name_of(data: bytes, start: int, end: int) -> str | None:
    """The name of the ``KeyValue`` in ``data[start:end]``; None where it is broken inside."""
    try:
        return read_pair(data, start, end)[0]
    except ValueError:
        return None


def pack_value(value: object, depth: int = MAX_DEPTH) -> bytes:
    """``value`` as an ``AnyValue``; an integer beyond 64 bits becomes a string.

    Raises:
        ValueError: it is nested too deep.
    """
    if not depth:
        raise ValueError("values are nested too deep")
    match value:
        case None:
            return b""
        case bool():
            return protobuf.pack_number(BOOL, value)
        case int() if value in INT64:
            return protobuf.pack_number(INT, value)
        case float():
            return struct.pack("<Bd", DOUBLE << 3 | protobuf.FIXED64, value)
        case bytes():
            return protobuf.pack_field(BYTES, value)
        case list() | tuple():
            items = [protobuf.pack_field(_VALUES, pack_value(item, depth - 1)) for item in value]
            return protobuf.pack_field(ARRAY, b"".join(items))
        case Mapping():
            return protobuf.pack_field(KVLIST, pack_pairs(value.items(), _VALUES, depth - 1))
    return _text(STRING, value)


def pack_pairs(
    pairs: Iterable[tuple[object, object]], number: int, depth: int = MAX_DEPTH
) -> bytes:
    """``pairs`` as ``KeyValue`` messages in field ``number``. Raises as `pack_value`."""
    packed = []
    for key, value in pairs:
        pair = (_text(1, key), protobuf.pack_field(2, pack_value(value, depth)))
        packed.append(protobuf.pack_field(number, b"".join(pair)))
    return b"".join(packed)


def _text(number: int, value: object) -> bytes:
    """A string field; what UTF-8 cannot say is written as an escape."""
    return protobuf.pack_field(number, str(value).encode("utf-8", "backslashreplace"))
