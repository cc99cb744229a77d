"""OTLP's JSON as text: walked without being rewritten, and mended attribute by attribute."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import msgspec
import orjson

from waybill.wire.codec import DECODE_ERRORS
from waybill.wire.json import scan
from waybill.wire.json.scan import Span
from waybill.wire.otlp.frames import Gap
from waybill.wire.policy import Names

_ATTRIBUTES_NAME = b'"attributes"'
_COLON = 0x3A


class _Attributes(msgspec.Struct):
    attributes: msgspec.Raw = msgspec.Raw()


_ATTRIBUTES = msgspec.json.Decoder(_Attributes)


def loads(text: bytes) -> tuple[object, bool]:
    """The value in ``text`` (None where it cannot be read), and whether a strict parser takes it.

    Of too much none is taken.
    """
    if scan.is_too_much(text):
        return None, False
    try:
        return orjson.loads(text), True
    except ValueError:
        pass
    try:
        return json.loads(text.decode("utf-8", "replace"), strict=False), False
    except (ValueError, RecursionError):
        return None, False


#: What frames say about themselves.
_ABOUT = ("resource", "scope")


class Walk(msgspec.Struct):
    """An object that was walked: the spans of members, its array of children, and its end.

    Members that are neither of these nor a frame's own are one, ``""``: there may be millions.
    ``inside`` are the offsets of the array's brackets, None where it has no such array.
    """

    start: int
    members: dict[str, Span] = {}
    inside: Span | None = None
    end: int = 0

    def gaps(self, first: int, stop: int) -> list[Gap]:
        """The bytes around the children ``first`` to ``stop``, as `Frame` has them."""
        if self.inside is None:
            return [Gap(first, self.start, self.end)]
        opening, closing = self.inside
        return [Gap(first, self.start, opening + 1), Gap(stop, closing, self.end)]


def walk(body: bytes, start: int, names: Sequence[str], on_child: Callable[[int], int]) -> Walk:
    """Walk the object at ``start``; ``on_child`` (offset in, end out) gets each item of ``names``.

    Raises:
        ValueError: the text stops being such an object.
    """
    found = Walk(start)
    at = _expect(body, start, b"{")
    while body[at : at + 1] != b"}":
        key_end = scan.value_end(body, at)
        if body[at : at + 1] != b'"' or key_end < 0:
            raise ValueError("a name is missing")
        name = scan.string_at(body, at, key_end)
        value_at = _expect(body, scan.skip_space(body, key_end), b":")
        if name in names:
            end = _walk_children(body, found, name, value_at, on_child)
        else:
            end = scan.value_end(body, value_at)
        if end < 0:
            raise ValueError(f"{name} cannot be read")
        if name not in names and name not in _ABOUT:
            name = ""
        found.members[name] = value_at, end
        at = _next(body, end, b"}")
    found.end = at + 1
    return found


def _walk_children(
    body: bytes, found: Walk, name: str, at: int, on_child: Callable[[int], int]
) -> int:
    """Walk the member ``name`` at ``at``: an array, or null; gives its end."""
    if body[at : at + 1] == b"[":
        if found.inside is not None:
            raise ValueError(f"{name} stands twice")
        found.inside = at, walk_array(body, at, on_child)
        return found.inside[1] + 1
    end = scan.value_end(body, at)
    if found.inside is None and body[at:end] != b"null":
        raise ValueError(f"{name} cannot be read")
    return end


def walk_array(body: bytes, start: int, on_item: Callable[[int], int]) -> int:
    """Call ``on_item`` for each item of the array at ``start``; the offset of its last bracket."""
    at = _expect(body, start, b"[")
    while body[at : at + 1] != b"]":
        end = on_item(at)
        if end < 0:
            raise ValueError("an item does not end")
        at = _next(body, end, b"]")
    return at


def _expect(body: bytes, at: int, mark: bytes) -> int:
    """The offset of what follows ``mark``, which must stand at ``at``."""
    if body[at : at + 1] != mark:
        raise ValueError(f"expected {mark.decode()}")
    return scan.skip_space(body, at + 1)


def _next(body: bytes, at: int, close: bytes) -> int:
    """The offset of the next item behind a comma, or of the mark ``close``."""
    at = scan.skip_space(body, at)
    if body[at : at + 1] == close:
        return at
    return _expect(body, at, b",")


def with_attributes(record: bytes, addition: bytes) -> bytes:
    """``record`` with ``addition`` (the inside of an array) at the end of its attributes."""
    span = _attributes(record)
    if span is None:
        comma = _comma(record[1:-1])
        return b'%b%b"attributes":[%b]}' % (record[:-1], comma, addition)
    start, end = span
    if record[start:end] == b"null":
        return b"%b[%b]%b" % (record[:start], addition, record[end:])
    comma = _comma(record[start + 1 : end - 1])
    return b"%b%b%b%b" % (record[: end - 1], comma, addition, record[end - 1 :])


def _comma(inside: bytes) -> bytes:
    """What separates an addition from what is ``inside`` brackets already."""
    return b"," if inside.strip(scan.SPACE) else b""


def without_attributes(record: bytes, names: Names) -> bytes:
    """``record`` without its attributes ``names``; the other attributes byte for byte."""
    span = _attributes(record)
    assert span is not None  # names were found in them
    start, end = span
    kept: list[bytes] = []

    def keep(at: int) -> int:
        stop = scan.value_end(record, at)
        pair, _ = loads(record[at:stop])
        if not isinstance(pair, dict) or pair.get("key") not in names:
            kept.append(record[at:stop])
        return stop

    walk_array(record, start, keep)
    return b"%b[%b]%b" % (record[:start], b",".join(kept), record[end:])


def _attributes(record: bytes) -> Span | None:
    """Where the value of the record's ``attributes`` is; of twins the last, as parsers have it."""
    if record.count(_ATTRIBUTES_NAME) == 1:
        span = _only_attributes(record)
        if span is not None:
            return span
    found: Span | None = None
    for name, _, start, end in scan.members(record, 0):
        if name == "attributes":
            found = (start, end)
    return found


def _only_attributes(record: bytes) -> Span | None:
    """`_attributes` without a scan: the name occurs once, and what a parser reads follows it."""
    try:
        value = bytes(memoryview(_ATTRIBUTES.decode(record).attributes))
    except DECODE_ERRORS:
        return None
    colon = scan.skip_space(record, record.index(_ATTRIBUTES_NAME) + len(_ATTRIBUTES_NAME))
    at = scan.skip_space(record, colon + 1)
    if value and record[colon] == _COLON and record.startswith(value, at):
        return at, at + len(value)
    return None
