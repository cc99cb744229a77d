"""Whether a text is JSON. Of one that is too large to be read, in steps between which others run.

The parser works in one step of the interpreter: 60 MB of escapes hold all other threads up for 100
ms. So long strings are looked at by themselves and the parser gets the text without them; and it
passes over what it does not read, UTF-8 or not.
"""

from __future__ import annotations

import re

import msgspec
import orjson

from waybill.core import steps
from waybill.core.text import is_in
from waybill.wire.allowance import MOST_RECORD_BYTES
from waybill.wire.json.pieces import check_in_pieces

__all__ = ["is_valid"]

_PASSED = msgspec.json.Decoder(msgspec.Raw)
#: So many strings are looked at for long ones: where there are more, most are short.
_STRINGS = 1000
_LONG_BYTES = 1 << 20
#: What of a text is asked about first. A number that is cut off is wrong at its end, where the
#: parser says that something is wrong there.
_BEGINNINGS = (1 << 20, MOST_RECORD_BYTES)
_PLACE = re.compile(r"\(byte (\d+)\)")
_CUT_BYTES = 1 << 10
_QUOTE = re.compile(b'"')
_HEX = "[0-9a-fA-F]"
#: Half of a pair of UTF-16 is no character (RFC 8259, 8.2): only whole pairs.
_UNIT = (
    rf"(?:[0-9a-ce-fA-CE-F]{_HEX}{{3}}|[dD][0-7]{_HEX}{{2}}"
    rf"|[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}})"
)
_PLAIN = r'[^"\\\x00-\x1f]*+'
_INSIDE = re.compile(rf'{_PLAIN}(?:\\(?:["\\/bfnrt]|u{_UNIT}){_PLAIN})*+'.encode())
_LONGEST_ESCAPE = len(r"\ud83d\ude00")


def is_valid(text: bytes | memoryview) -> bool:
    """Whether a strict parser takes ``text`` as one value."""
    try:
        if len(text) > MOST_RECORD_BYTES:
            _check_large(memoryview(text))
        else:
            orjson.loads(text)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return False
    return True


def _check_large(text: memoryview) -> None:
    """Raise ValueError or MsgspecError where ``text`` is not JSON."""
    for most in _BEGINNINGS:
        _check_beginning(text[:most])
    if not is_in(text, "utf-8"):
        raise ValueError("not UTF-8")
    check_in_pieces(memoryview(_without_long_strings(text)), _PASSED.decode)


def _check_beginning(text: memoryview) -> None:
    """Raise MsgspecError where something is wrong that early: many values on one line are asked
    about one after another, and are not to be looked at to their end for each.
    """
    try:
        _PASSED.decode(text)
    except msgspec.DecodeError as error:
        found = _PLACE.search(str(error))
        if found is not None and int(found[1]) < len(text) - _CUT_BYTES:
            raise


def _without_long_strings(text: memoryview) -> bytes | memoryview:
    """``text`` with ``""`` for each long string. Raises ValueError for one without an end."""
    parts: list[bytes | memoryview] = []
    done = at = 0
    for _ in range(_STRINGS):
        start = _next_quote(text, at)
        if start < 0:
            break
        at = _string_end(text, start + 1)
        if at - start > _LONG_BYTES:
            parts += text[done:start], b'""'
            done = at
    return b"".join((*parts, text[done:])) if parts else text


def _next_quote(text: memoryview, at: int) -> int:
    while at < len(text):
        match = _QUOTE.search(text, at, at + steps.STEP_BYTES)
        if match is not None:
            return match.start()
        at += steps.STEP_BYTES
    return -1


def _string_end(text: memoryview, at: int) -> int:
    """The offset behind the string whose inside begins at ``at``. Raises ValueError."""
    at = steps.run_end(_INSIDE, text, at, unit=_LONGEST_ESCAPE)
    if bytes(text[at : at + 1]) != b'"':
        raise ValueError(f"no end of a string at {at}")
    return at + 1
