"""OTLP's ``AnyValue`` and ``KeyValue`` as plain Python values and back, in protobuf and in JSON.

A plain value is None, str, bool, int, float, bytes, or a list or dict of them.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from waybill.wire.otlp import protobuf
from waybill.wire.otlp.protobuf import LENGTH

#: Fields of AnyValue in opentelemetry-proto's common.proto.
STRING, BOOL, INT, DOUBLE, ARRAY, KVLIST, BYTES = range(1, 8)
#: Lists in lists at most: protobuf readers give up at 100 messages in one another, and each level is three.
MAX_DEPTH = 32
_INT64 = range(-(2**63), 2**63)
#: Names of AnyValue's fields in JSON; the second spelling is what protobuf's own JSON readers take as well.
_JSON_KINDS = {
    "stringValue": STRING, "boolValue": BOOL, "intValue": INT, "doubleValue": DOUBLE,
    "arrayValue": ARRAY, "kvlistValue": KVLIST, "bytesValue": BYTES,
    "string_value": STRING, "bool_value": BOOL, "int_value": INT, "double_value": DOUBLE,
    "array_value": ARRAY, "kvlist_value": KVLIST, "bytes_value": BYTES,
}  # fmt: skip


# -- protobuf -----------------------------------------------------------------------------------


def read_value(data: bytes, start: int, end: int, depth: int = MAX_DEPTH) -> Any:
    """The ``AnyValue`` in ``data[start:end]``. Raises ValueError on broken or too deep ones."""
    if not depth:
        raise ValueError("values are nested too deep")
    value: Any = None
    for number, kind, _, at, stop in protobuf.fields(data, start, end):
        if number in (STRING, BYTES) and kind == LENGTH:
            value = data[at:stop].decode("utf-8", "replace") if number == STRING else data[at:stop]
        elif number == KVLIST and kind == LENGTH:
            value = dict(read_pairs(data, at, stop, 1, depth - 1))
        elif number == ARRAY and kind == LENGTH:
            value = [
                read_value(data, item_at, item_end, depth - 1)
                for number, kind, _, item_at, item_end in protobuf.fields(data, at, stop)
                if (number, kind) == (1, LENGTH)
            ]
        elif number == DOUBLE and kind == protobuf.FIXED64:
            (value,) = struct.unpack_from("<d", data, at)
        elif number in (BOOL, INT) and kind == protobuf.VARINT:
            raw, _ = protobuf.varint(data, at, stop)
            value = bool(raw) if number == BOOL else raw - (1 << 64) * (raw >> 63)
    return value


def read_pairs(
    data: bytes, start: int, end: int, number: int, depth: int = MAX_DEPTH
) -> Iterable[tuple[str, Any]]:
    """The ``KeyValue`` messages in field ``number`` of the message in ``data[start:end]``, in order."""
    for found, kind, _, at, stop in protobuf.fields(data, start, end):
        if (found, kind) == (number, LENGTH):
            key, value_at, value_end = read_pair(data, at, stop)
            yield key, read_value(data, value_at, value_end, depth)


def read_pair(data: bytes, start: int, end: int) -> tuple[str, int, int]:
    """The ``KeyValue`` in ``data[start:end]``: (key, start and end of its AnyValue)."""
    key, span = b"", (end, end)
    for number, kind, _, at, stop in protobuf.fields(data, start, end):
        if (number, kind) == (1, LENGTH):
            key = data[at:stop]
        elif (number, kind) == (2, LENGTH):
            span = (at, stop)
    return key.decode("utf-8", "replace"), *span


def pack_value(value: object, depth: int = MAX_DEPTH) -> bytes:
    """``value`` as an ``AnyValue``; an integer beyond 64 bits becomes a string. Raises ValueError on too deep ones."""
    if not depth:
        raise ValueError("values are nested too deep")
    match value:
        case None:
            return b""
        case bool():
            return protobuf.pack_number(BOOL, value)
        case int() if value in _INT64:
            return protobuf.pack_number(INT, value)
        case float():
            return struct.pack("<Bd", DOUBLE << 3 | protobuf.FIXED64, value)
        case bytes():
            return protobuf.pack_field(BYTES, value)
        case list() | tuple():
            items = b"".join(protobuf.pack_field(1, pack_value(item, depth - 1)) for item in value)
            return protobuf.pack_field(ARRAY, items)
        case Mapping():
            return protobuf.pack_field(KVLIST, pack_pairs(value.items(), 1, depth - 1))
    return _text(STRING, value)


def pack_pairs(
    pairs: Iterable[tuple[object, object]], number: int, depth: int = MAX_DEPTH
) -> bytes:
    """``pairs`` as ``KeyValue`` messages in field ``number``."""
    packed = [
        _text(1, key) + protobuf.pack_field(2, pack_value(value, depth)) for key, value in pairs
    ]
    return b"".join([protobuf.pack_field(number, pair) for pair in packed])


def _text(number: int, value: object) -> bytes:
    """A string field; what UTF-8 cannot say is written as an escape."""
    return protobuf.pack_field(number, str(value).encode("utf-8", "backslashreplace"))


# -- JSON ---------------------------------------------------------------------------------------


def from_json(value: object, depth: int = MAX_DEPTH) -> Any:
    """The plain value of an ``AnyValue`` in JSON. Raises ValueError on what is none, or too deep."""
    if value is None:
        return None
    if not depth or not isinstance(value, dict):
        raise ValueError("not an AnyValue")
    for name, given in value.items():
        kind = _JSON_KINDS.get(name)
        if kind is not None and given is not None:
            return _from_json_kind(kind, given, depth - 1)
    return None


def _from_json_kind(kind: int, given: Any, depth: int) -> Any:
    if kind == KVLIST and isinstance(given, dict):
        return dict(pairs_from_json(given.get("values"), depth=depth))
    if kind == ARRAY and isinstance(given, dict):
        values = given.get("values") or []
        if isinstance(values, list):
            return [from_json(item, depth) for item in values]
    if kind == BYTES and isinstance(given, str):
        try:
            return base64.b64decode(given)
        except binascii.Error:
            return given
    # 64-bit integers are strings in protobuf's JSON, and doubles may be "NaN" or "Infinity".
    if kind == INT and isinstance(given, str | int) and int(given) in _INT64:
        return int(given)
    if kind == DOUBLE and isinstance(given, str | float):
        return float(given)
    if kind == DOUBLE and isinstance(given, int) and given in _INT64:
        return float(given)
    if (kind == STRING and isinstance(given, str)) or (kind == BOOL and isinstance(given, bool)):
        return given
    raise ValueError("not an AnyValue")


def pairs_from_json(
    pairs: object, wanted: Container[str] | None = None, depth: int = MAX_DEPTH
) -> Iterable[tuple[str, Any]]:
    """The pairs of a list of ``KeyValue`` in JSON, or the ``wanted`` ones. Raises ValueError on what is none."""
    if not isinstance(pairs, list | None):
        raise ValueError("not a list of KeyValue")
    for pair in pairs or ():
        if not isinstance(pair, dict) or not isinstance(pair.get("key", ""), str):
            raise ValueError("not a KeyValue")
        key = pair.get("key", "")
        if wanted is None or key in wanted:
            yield key, from_json(pair.get("value"), depth)


def to_json(value: object) -> dict[str, object]:
    """``value`` as an ``AnyValue`` in JSON."""
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case int() if value in _INT64:
            return {"intValue": str(value)}
        case float():
            # Protobuf's JSON names for what JSON has no number for.
            odd = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
            return {"doubleValue": value if math.isfinite(value) else odd}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode()}
        case list() | tuple():
            return {"arrayValue": {"values": [to_json(item) for item in value]}}
        case Mapping():
            return {"kvlistValue": {"values": pairs_to_json(list(value.items()))}}
    return {"stringValue": str(value)}


def pairs_to_json(pairs: Sequence[tuple[object, object]]) -> list[dict[str, object]]:
    """``pairs`` as a list of ``KeyValue`` in JSON."""
    return [{"key": str(key), "value": to_json(value)} for key, value in pairs]
