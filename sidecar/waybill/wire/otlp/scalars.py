"""The scalar types of OTLP's messages, in protobuf's wire format and in its JSON.

In JSON 64-bit integers are strings, ids are hexadecimal, other bytes base64, and doubles may be
``"NaN"`` or ``"Infinity"``. Writers take what protobuf's own JSON readers take as well: numbers for
64-bit integers, names for severities, base64 for ids.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable

import msgspec

from waybill.wire.otlp import protobuf
from waybill.wire.otlp.json_values import spelling
from waybill.wire.otlp.protobuf import FIXED32, FIXED64, LENGTH, VARINT

#: Each has four steps, of which the first has no number: INFO, INFO2, INFO3, INFO4.
_SEVERITIES = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")


def _severity_names() -> dict[str, int]:
    """0 to 24 by their names in protobuf."""
    names = {"SEVERITY_NUMBER_UNSPECIFIED": 0}
    for name in _SEVERITIES:
        for step in ("", "2", "3", "4"):
            names[f"SEVERITY_NUMBER_{name}{step}"] = len(names)
    return names


_SEVERITY_NAMES = _severity_names()


class Scalar(msgspec.Struct, frozen=True):
    """One type: its wire type, and how its payload becomes a JSON value and back.

    ``read`` and ``write`` raise ValueError.
    """

    wire: int
    read: Callable[[bytes], object]
    write: Callable[[object], bytes]


def _read_text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _write_text(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("not a string")
    return value.encode("utf-8", "backslashreplace")


def _write_base64(value: object) -> bytes:
    try:
        return base64.b64decode(_write_text(value), validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None


def _read_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _write_id(value: object) -> bytes:
    text = _write_text(value)
    try:
        return binascii.unhexlify(text)
    except binascii.Error:
        return _write_base64(value)


def _read_bool(data: bytes) -> bool:
    return _read_uint(data) != 0


def _write_bool(value: object) -> bytes:
    if not isinstance(value, bool):
        raise ValueError("not a bool")
    return bytes((value,))


def _read_uint(data: bytes) -> int:
    return protobuf.varint(data, 0, len(data))[0]


def _read_int(data: bytes) -> int:
    raw = _read_uint(data)
    return raw - (1 << 64) * (raw >> 63)


def _read_int_text(data: bytes) -> str:
    return str(_read_int(data))


def _integer(value: object, bits: int, *, is_signed: bool = False) -> int:
    """``value`` as an integer of so many bits."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("not an integer")
    if isinstance(value, float) and not value.is_integer():  # NaN and infinity are none either
        raise ValueError("not an integer")
    number = int(value)
    low = -(1 << bits - 1) if is_signed else 0
    high = 1 << bits - 1 if is_signed else 1 << bits
    if number not in range(low, high):
        raise ValueError(f"not an integer of {bits} bits")
    return number


def _write_int(value: object) -> bytes:
    return protobuf.pack_varint(_integer(value, 64, is_signed=True) & (1 << 64) - 1)


def _write_uint32(value: object) -> bytes:
    return protobuf.pack_varint(_integer(value, 32))


def _write_severity(value: object) -> bytes:
    if isinstance(value, str) and value in _SEVERITY_NAMES:
        value = _SEVERITY_NAMES[value]
    return protobuf.pack_varint(_integer(value, 32, is_signed=True) & (1 << 64) - 1)


def _read_fixed(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _read_fixed_text(data: bytes) -> str:
    return str(_read_fixed(data))


def _write_fixed64(value: object) -> bytes:
    return _integer(value, 64).to_bytes(8, "little")


def _write_fixed32(value: object) -> bytes:
    return _integer(value, 32).to_bytes(4, "little")


def _read_double(data: bytes) -> float | str:
    (value,) = struct.unpack("<d", data)
    return spelling(value)


def _write_double(value: object) -> bytes:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("not a number")
    try:
        return struct.pack("<d", float(value))
    except OverflowError:
        raise ValueError("not a number of 64 bits") from None


TEXT = Scalar(LENGTH, _read_text, _write_text)
BASE64 = Scalar(LENGTH, _read_base64, _write_base64)
ID = Scalar(LENGTH, bytes.hex, _write_id)
BOOL = Scalar(VARINT, _read_bool, _write_bool)
INT64 = Scalar(VARINT, _read_int_text, _write_int)
UINT32 = Scalar(VARINT, _read_uint, _write_uint32)
SEVERITY = Scalar(VARINT, _read_int, _write_severity)
TIME = Scalar(FIXED64, _read_fixed_text, _write_fixed64)
FLAGS = Scalar(FIXED32, _read_fixed, _write_fixed32)
DOUBLE = Scalar(FIXED64, _read_double, _write_double)
