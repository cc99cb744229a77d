"""OTLP's ``AnyValue`` and ``KeyValue`` in JSON as plain Python values and back.

Plain values as in `waybill.wire.otlp.values`; spellings as in protobuf's JSON mapping: 64-bit
integers are strings, doubles may be ``"NaN"`` or ``"Infinity"``, bytes are base64.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Container, Iterator, Mapping

from waybill.wire.event import members_of
from waybill.wire.otlp.values import INT64, MAX_DEPTH
from waybill.wire.policy import Pairs

_NO_VALUE = "not an AnyValue"


def from_json(value: object, depth: int = MAX_DEPTH) -> object:
    """The plain value of an ``AnyValue``. Raises ValueError: not one, or too deep."""
    if value is None:
        return None
    if not depth or not isinstance(value, dict):
        raise ValueError(_NO_VALUE)
    for name, given in value.items():
        read = _READERS.get(name)
        if read is not None and given is not None:
            return read(given, depth - 1)
    return None


def _string(given: object, _depth: int) -> str:
    if isinstance(given, str):
        return given
    raise ValueError(_NO_VALUE)


def _bool(given: object, _depth: int) -> bool:
    if isinstance(given, bool):
        return given
    raise ValueError(_NO_VALUE)


def _int(given: object, _depth: int) -> int:
    if isinstance(given, str | int) and int(given) in INT64:
        return int(given)
    raise ValueError(_NO_VALUE)


def _double(given: object, _depth: int) -> float:
    if isinstance(given, str | float):
        return float(given)
    if isinstance(given, int) and given in INT64:
        return float(given)
    raise ValueError(_NO_VALUE)


def _bytes(given: object, depth: int) -> object:
    text = _string(given, depth)
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return text


def _array(given: object, depth: int) -> list[object]:
    values = _values(given) or []
    if isinstance(values, list):
        return [from_json(item, depth) for item in values]
    raise ValueError(_NO_VALUE)


def _map(given: object, depth: int) -> dict[str, object]:
    return members_of(list(pairs_from_json(_values(given), depth=depth)))


def _values(given: object) -> object:
    if isinstance(given, dict):
        return given.get("values")
    raise ValueError(_NO_VALUE)


#: By the name of AnyValue's field; protobuf's own JSON readers take the second spelling as well.
_READERS: dict[str, Callable[[object, int], object]] = {
    "stringValue": _string, "boolValue": _bool, "intValue": _int, "doubleValue": _double,
    "arrayValue": _array, "kvlistValue": _map, "bytesValue": _bytes,
    "string_value": _string, "bool_value": _bool, "int_value": _int, "double_value": _double,
    "array_value": _array, "kvlist_value": _map, "bytes_value": _bytes,
}  # fmt: skip


def pairs_from_json(
    pairs: object, wanted: Container[str] | None = None, depth: int = MAX_DEPTH
) -> Iterator[tuple[str, object]]:
    """The pairs of a list of ``KeyValue``, or the ``wanted`` ones. Raises ValueError on others."""
    if not isinstance(pairs, list | None):
        raise ValueError("not a list of KeyValue")
    for pair in pairs or ():
        if not isinstance(pair, dict):
            raise ValueError("not a KeyValue")
        key = pair.get("key", "")
        if not isinstance(key, str):
            raise ValueError("not a KeyValue")
        if wanted is None or key in wanted:
            yield key, from_json(pair.get("value"), depth)


def to_json(value: object) -> dict[str, object]:
    """``value`` as an ``AnyValue``."""
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case int() if value in INT64:
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": spelling(value)}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode()}
        case list() | tuple():
            return {"arrayValue": {"values": [to_json(item) for item in value]}}
        case Mapping():
            return {"kvlistValue": {"values": pairs_to_json(list(value.items()))}}
    return {"stringValue": str(value)}


def spelling(value: float) -> float | str:
    """A double as JSON says it."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def pairs_to_json(pairs: Pairs) -> list[dict[str, object]]:
    """``pairs`` as a list of ``KeyValue``."""
    return [{"key": str(key), "value": to_json(value)} for key, value in pairs]
