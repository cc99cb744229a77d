"""Cursors of lists: the place of the last row that was shown, never a number of rows to skip.

A list goes on behind that row whatever has come or gone before it, and a far page costs what the
first one does.
"""

from __future__ import annotations

import base64
import binascii
import sqlite3
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

__all__ = ["Key", "cursor_after", "given_cursor", "order_by", "rows_behind"]

#: No cursor is longer: a name, an id and a number. A page repeats it in each of its links.
_MOST_CHARS = 2000

_Value = float | int | str
_decode = msgspec.json.Decoder(list[float | int | str]).decode


class Key(NamedTuple):
    """A part of an order: an expression that is never NULL, the name that it is selected as, and
    whether the greatest comes first.
    """

    expression: str
    name: str
    is_descending: bool


def order_by(keys: Sequence[Key]) -> str:
    """The order as SQL."""
    return ", ".join(f"{key.expression}{' DESC' if key.is_descending else ''}" for key in keys)


def cursor_after(keys: Sequence[Key], row: sqlite3.Row) -> str:
    """The cursor that leads to what stands behind ``row``."""
    values = msgspec.json.encode([row[key.name] for key in keys])
    return base64.urlsafe_b64encode(values).decode().rstrip("=")


def given_cursor(query: Mapping[str, str]) -> str:
    """The cursor in a query string; empty where nobody has given it out."""
    cursor = query.get("after", "")
    return cursor if len(cursor) <= _MOST_CHARS else ""


def rows_behind(keys: Sequence[Key], cursor: str) -> tuple[str, tuple[_Value, ...]]:
    """A condition and its values; one that lets all through for a cursor that nobody gave out."""
    try:
        values = _decode(base64.urlsafe_b64decode(f"{cursor}{'=' * (-len(cursor) % 4)}".encode()))
    except (ValueError, binascii.Error, msgspec.DecodeError):
        values = []
    if len(values) != len(keys) or any(_is_too_large(one) for one in values):
        return "1", ()
    parts: list[str] = []
    bound: list[_Value] = []
    for i, key in enumerate(keys):
        same = [f"{before.expression} = ?" for before in keys[:i]]
        sign = "<" if key.is_descending else ">"
        parts.append(" AND ".join([*same, f"{key.expression} {sign} ?"]))
        bound += values[: i + 1]
    return f"({' OR '.join(f'({part})' for part in parts)})", tuple(bound)


def _is_too_large(value: _Value) -> bool:
    """Whether SQLite cannot hold it: its whole numbers end at 2**63."""
    return isinstance(value, int) and abs(value) >= 1 << 62
