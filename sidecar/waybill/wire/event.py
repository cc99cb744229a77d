"""The neutral form of a record between two encodings: plain values that JSON can say.

Codecs give events, `waybill.wire.convert` writes them; no codec knows another. Values are kept,
spellings are not. What JSON cannot say is written so that nothing is lost: bytes that are not text
become text with escapes, and a record that cannot be read at all goes as text with the original
beside it as base64.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import TypeVar, cast

import msgpack
import msgspec

from waybill.core.records import Verdict
from waybill.wire.fields import FieldPlan
from waybill.wire.moments import Moment

K = TypeVar("K")
Record = dict[str, object]
#: Where the bytes go that are no text, beside their readable form.
RAW_FIELD = "raw_base64"
#: Of bytes that are no text so many are shown as if they were: all of them are there as base64.
_SHOWN_BYTES = 1 << 20
#: Encoded in one call; a multiple of three, or there would be padding in between.
_PIECE_BYTES = 3 << 20


class Event(msgspec.Struct):
    """One labelled record.

    ``record`` is None where it cannot be read; ``original`` are the bytes that stand for it then.
    ``moment`` is None where the record has no time. ``metadata`` is what Fluent keeps beside the
    record. ``is_group_marker``: it opens or closes an OpenTelemetry group of Fluent Bit; it is not
    a record.
    """

    verdict: Verdict
    original: bytes
    record: Record | None = None
    moment: Moment | None = None
    metadata: Mapping[str, object] = {}
    is_group_marker: bool = False


def wrapped(data: bytes, plan: FieldPlan, verdict: Verdict) -> Record:
    """A plain record that carries ``data``, whatever it is, as text under the first message field.

    Beside it stand the verdict's fields and, where the bytes are not UTF-8, the bytes as base64.
    """
    name = plan.message[0][0]
    record: Record
    try:
        record = {name: data.decode()}
    except UnicodeDecodeError:
        record = {name: data[:_SHOWN_BYTES].decode("utf-8", "replace")}
        record[RAW_FIELD] = as_base64(data)
    record.update(plan.policy.pairs(verdict))
    return record


def as_base64(data: bytes) -> str:
    """``data`` as base64, made in pieces: of 60 MB at once it takes 100 ms."""
    pieces = (data[at : at + _PIECE_BYTES] for at in range(0, len(data), _PIECE_BYTES))
    return b"".join([base64.b64encode(piece) for piece in pieces]).decode()


def jsonable(value: object) -> object:
    """``value`` with what JSON lacks written as text: bytes, extension types, other keys, NaN.

    Raises:
        ValueError, RecursionError: a lone surrogate, or nested too deep.
    """
    if isinstance(value, dict):
        return jsonable_members(value)
    if isinstance(value, str):
        return value if value.isascii() else _text(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, msgpack.ExtType):  # a tuple, too: it must stand in front of these
        return {"ext": value.code, "base64": base64.b64encode(value.data).decode()}
    if isinstance(value, msgpack.Timestamp):
        return value.to_datetime().isoformat()
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return value


def jsonable_members(members: Mapping[K, object]) -> Record:
    """`jsonable` for a map, whose keys become text."""
    record: Record = {}
    for key, value in members.items():
        name = key if isinstance(key, str) else str(jsonable(key))
        record[name] = jsonable(value)
    if len(record) == len(members):
        return record
    return members_of([(_name(key), jsonable(value)) for key, value in members.items()])


def members_of(pairs: Sequence[tuple[K, object]]) -> dict[K, object]:
    """``pairs`` as a map that loses none of them.

    Of several values under one name the last keeps it, as readers of JSON have it; those before it
    are called ``name_2``, ``name_3`` and so on, or what is free behind that.

    >>> members_of([("log", "x"), ("log", "y")])
    {'log': 'y', 'log_2': 'x'}
    """
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    taken = {_name(key) for key in found}
    numbers: dict[K, int] = {}
    last: dict[K, object] = {}
    for key, value in pairs:
        if key in last:
            number = numbers.get(key, 1) + 1
            while f"{_name(key)}_{number}" in taken:
                number += 1
            numbers[key] = number
            taken.add(f"{_name(key)}_{number}")
            # A name of text stands among the others whatever they are: encoders write all of them.
            found[cast("K", f"{_name(key)}_{number}")] = last[key]
        last[key] = value
    return found


def _name(key: object) -> str:
    return key if isinstance(key, str) else str(jsonable(key))


def _text(data: bytes) -> str:
    """Bytes as text; bytes that are not UTF-8 are escapes, which can be told from U+FFFD."""
    return data.decode("utf-8", "backslashreplace")


def value_at(members: object, path: Sequence[str]) -> object:
    """What stands in ``members`` at ``path``, map by map; None where nothing does."""
    for key in path:
        if not isinstance(members, Mapping):
            return None
        members = members.get(key)
    return members
