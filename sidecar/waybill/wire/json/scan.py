"""The tolerant JSON reader: finds where values end without caring whether they make sense.

It stands behind the fast path. A record with a lone surrogate, NaN, 400 levels or 100,000 levels of
nesting, or invalid UTF-8 makes a strict parser refuse the whole batch; this reader only matches
brackets outside strings, never recurses, and is linear, so that such a record costs only itself.
All offsets are byte offsets into the buffer given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

import orjson

from waybill.core import steps
from waybill.core.prepare import is_blank
from waybill.core.reasons import RecordReason
from waybill.core.text import text_of_bytes
from waybill.wire.allowance import MOST_RECORD_BYTES, MOST_VALUES
from waybill.wire.json.valid import is_valid

#: Where a value begins and ends.
Span = tuple[int, int]
SPACE = b" \t\n\r"
_QUOTE, _OPEN_BRACKET, _OPEN_BRACE = b'"[{'
_SPACE = re.compile(rb"[ \t\n\r]*+")
#: What may stand between records: NUL (GELF), RS (RFC 7464), the end mark of DOS, the mark of a
#: file that was joined on.
_BETWEEN = re.compile(rb"(?:[ \t\n\r\x00\x1a\x1e]++|\xef\xbb\xbf)*+")
_MARK_BYTES = 3
#: What people and tools put between records, and stands in none: commas, bars, odd blanks.
_MARKS = re.compile(rb"(?:\\[nrt]|[^0-9A-Za-z_\"'\\\[\]{}]){1,16}+(?=[\[\]{])|[,;|\s]{1,16}+\Z|,")
#: Possessive: an engine that may go back remembers every escape, at 120 bytes each.
_STRING = re.compile(rb'"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+"')
#: The same without its quotes, for one that is too long to be looked at in one call.
_INSIDE = re.compile(rb'[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+')
_STRUCTURE = re.compile(rb'["{}\[\]]')
_SCALAR = re.compile(rb"[^\s,\]}\[{\"]+")
_EMPTY_OBJECT = re.compile(rb"\{[ \t\n\r]*\}")


def skip_space(data: bytes | memoryview, at: int) -> int:
    """The first offset from ``at`` that is not white space."""
    return steps.run_end(_SPACE, data, at)


def skip_between(data: bytes, at: int) -> int:
    """The first offset from ``at`` that belongs to a record."""
    return steps.run_end(_BETWEEN, data, at, unit=_MARK_BYTES)


def line_end(data: bytes, at: int) -> int:
    """The offset of the first LF from ``at``, or of the end of ``data``."""
    end = data.find(b"\n", at)
    return end if end >= 0 else len(data)


def skip_marks(data: bytes, at: int) -> int:
    """As `skip_between`, and behind a comma or other marks where a record or the end of a list
    follows.
    """
    at = skip_between(data, at)
    found = _MARKS.match(data, at)
    return at if found is None else skip_between(data, found.end())


def value_end(data: bytes, at: int, limit: int | None = None) -> int:
    """The offset behind the value at ``at``; -1 when none starts there or ends by ``limit``."""
    if limit is None:
        limit = len(data)
    first = data[at : at + 1]
    if first in (b"{", b"["):
        return _brackets_end(data, at, limit)
    if first == b'"':
        return _string_end(data, at, limit)
    end = steps.run_end(_SCALAR, data, at, limit)
    return end if end > at else -1


def _string_end(data: bytes, at: int, limit: int) -> int:
    """The offset behind the string that starts at ``at``, or -1."""
    at = steps.run_end(_INSIDE, data, at + 1, limit, unit=2)
    return at + 1 if at < limit and data[at] == _QUOTE else -1


def _brackets_end(data: bytes, at: int, limit: int) -> int:
    """The offset behind the object or array that starts at ``at``, or -1."""
    depth = 0
    near = min(limit, at + steps.STEP_BYTES)
    while True:
        match = _STRUCTURE.search(data, at, near)
        if match is None:
            if near == limit:
                return -1
            at, near = near, min(limit, near + steps.STEP_BYTES)
            continue
        mark = data[match.start()]
        if mark == _QUOTE:
            string = _STRING.match(data, match.start(), near)
            if string is None:  # broken, or it goes on behind
                at = _string_end(data, match.start(), limit)
                if at < 0:
                    return -1
                near = min(limit, at + steps.STEP_BYTES)
            else:
                at = string.end()
            continue
        at = match.end()
        depth += 1 if mark in b"{[" else -1
        if depth == 0:
            return at


def members(data: bytes, start: int) -> Iterator[tuple[str, int, int, int]]:
    """The members of the object at ``start``: (key, key start, value start, value end).

    Stops silently where the text stops being an object.
    """
    at = skip_space(data, start + 1)
    while data[at : at + 1] == b'"':
        key_at = at
        key_end = value_end(data, at)
        if key_end < 0:
            return
        colon = skip_space(data, key_end)
        if data[colon : colon + 1] != b":":
            return
        value_at = skip_space(data, colon + 1)
        end = value_end(data, value_at)
        if end < 0:
            return
        yield string_at(data, key_at, key_end), key_at, value_at, end
        at = skip_space(data, end)
        if data[at : at + 1] != b",":
            return
        at = skip_space(data, at + 1)


def string_at(data: bytes, start: int, end: int) -> str:
    """The JSON string in ``data[start:end]`` as text that can be encoded again.

    What is not UTF-8 becomes U+FFFD and a lone surrogate ``?``: no tier behind this one takes them.
    """
    text = data[start:end].decode("utf-8", "replace")
    if "\\" not in text and text[:1] == '"':
        return text[1:-1]
    try:
        value = str(json.loads(text, strict=False))
    except ValueError:
        return text[1:-1]
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def find(data: bytes, start: int, path: Sequence[str]) -> Span | None:
    """The range of the value at ``path`` in the object at ``start``; the last of twins wins."""
    key, *below = path
    found: Span | None = None
    if data[start : start + 1] != b"{":
        return None
    for name, _, value_at, end in members(data, start):
        if name == key:
            found = (value_at, end)
    if found is None or not below:
        return found
    return find(data, found[0], below)


def is_blank_value(data: bytes, span: Span) -> bool:
    """Whether a value is null or an empty text."""
    return data[slice(*span)] in (b"null", b'""')


def find_string(
    data: bytes, top: Mapping[str, Span], paths: Sequence[Sequence[str]]
) -> tuple[str | None, bool]:
    """The first of ``paths`` that leads to a string that is not blank; bytes are one, as journald
    lists them.

    Beside it: whether any before it led to another kind of value.

    ``top`` has the members of an object: where the value of each name begins and ends.
    """
    other = False
    for key, *below in paths:
        span = top.get(key)
        if span is not None and below:
            span = find(data, span[0], below)
        if span is None:
            continue
        text = _text_in(data, span)
        if text is None:
            other = other or data[span[0] : span[1]] != b"null"
        elif not is_blank(text):
            return text, other
    return None, other


def _text_in(data: bytes, span: Span) -> str | None:
    """The text of a string, or of a list of byte values; None for another kind of value."""
    first = data[span[0]]
    if first == _QUOTE:
        return string_at(data, *span)
    if first != _OPEN_BRACKET:
        return None
    try:
        return text_of_bytes(orjson.loads(data[slice(*span)]))
    except ValueError:
        return None


def without(data: bytes, start: int, end: int, names: frozenset[str]) -> bytes:
    """The object in ``data[start:end]`` without its members ``names``; the rest byte for byte."""
    found = list(members(data, start))
    kept = [i for i, (name, *_) in enumerate(found) if name not in names]
    if len(kept) == len(found):
        return data[start:end]
    pieces = [data[start : found[0][1]]]
    for i in kept:
        _, key_at, _, value_to = found[i]
        # A member takes the separator behind it along, but for the last one kept.
        pieces.append(data[key_at : value_to if i == kept[-1] else found[i + 1][1]])
    pieces.append(data[found[-1][3] : end])
    return b"".join(pieces)


def is_too_much(text: bytes) -> bool:
    """Whether to make plain values of ``text`` would take memory that is not counted, or long."""
    if len(text) > MOST_RECORD_BYTES:
        return True
    # Each value but the first in its array or object follows a comma.
    return len(text) > MOST_VALUES and sum(map(text.count, (b",", b"[", b"{"))) > MOST_VALUES


def is_without_members(text: bytes) -> bool:
    """Whether ``text`` is an object with nothing in it."""
    return _EMPTY_OBJECT.fullmatch(text) is not None


def is_oftener(byte: bytes, data: bytes, most: int) -> bool:
    """Whether ``byte`` stands in ``data`` more than ``most`` times; other threads have turns."""
    if len(data) <= most:
        return False
    count = 0
    for start in range(0, len(data), steps.STEP_BYTES):
        count += data.count(byte, start, start + steps.STEP_BYTES)
    return count > most


def why_unread(text: memoryview) -> RecordReason:
    """Why a value is not read that is too large, or is not an object."""
    return why_too_large(text[0]) if is_valid(text) else "malformed_record"


def why_too_large(head: int) -> RecordReason:
    """The same of a valid value that begins with ``head``."""
    return "record_too_large" if head == _OPEN_BRACE else "not_an_object"
