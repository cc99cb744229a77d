"""Whether a long text is JSON, a piece at a time: the parser works in one step of the interpreter.

A piece ends before a comma that stands in no string. The parser gets it with what is open around
it in front and closed behind: of ``{"a":[1,2,{"b":3}]}``, cut before ``2``, it gets ``{"a":[1]}``
and ``{"":[0,2,{"b":3}]}``.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["check_in_pieces"]

_PIECE_BYTES = 1 << 19
#: So many strings are passed over to find a comma: between two of valid JSON there are few.
_STRINGS = 1000
#: Pairs of brackets with nothing in between are taken out so often before the rest is counted.
_ROUNDS = 4
_CLOSED = bytes.maketrans(b"[{", b"]}")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_RUN = re.compile(rb"[\[{]++|[\]}]++")


def check_in_pieces(text: memoryview, check: Callable[[bytes], object]) -> None:
    """Have ``check`` look at pieces of ``text``; it raises where one is no JSON.

    Raises:
        ValueError: the brackets show that ``text`` is no JSON.
    """
    opened = bytearray()
    at, size = 0, _PIECE_BYTES
    while at + size < len(text):
        piece = bytes(text[at : at + size])
        bare = piece.replace(rb"\\", b"__").replace(rb"\"", b"__")
        cut = _last_comma(bare)
        if cut < 0:
            size *= 2
            continue
        before = _begun(opened)
        _count(opened, bare[:cut])
        if not opened:
            raise ValueError(f"a comma between values at {at + cut}")
        check(b"".join((before, piece[:cut], _ended(opened))))
        at, size = at + cut + 1, _PIECE_BYTES
    check(b"".join((_begun(opened), text[at:])))


def _begun(opened: bytearray) -> bytes:
    """What a piece that follows a comma follows here: nothing may stand for nothing."""
    return bytes(opened).replace(b"{", b'{"":') + b"0," if opened else b""


def _ended(opened: bytearray) -> bytes:
    """What follows here a piece that a comma follows."""
    more = b',"":0' if opened.endswith(b"{") else b",0"
    return more + opened[::-1].translate(_CLOSED)


def _last_comma(bare: bytes) -> int:
    """Where the last comma outside of strings stands; -1 where none is found."""
    end = bare.rfind(b'"') if bare.count(b'"') % 2 else len(bare)
    for _ in range(_STRINGS):
        quote = bare.rfind(b'"', 0, end)
        comma = bare.rfind(b",", quote + 1, end)
        if comma >= 0 or quote < 0:
            return comma
        end = bare.rfind(b'"', 0, quote)
    return -1


def _count(opened: bytearray, bare: bytes) -> None:
    """Change ``opened``, the brackets that are open, by those of ``bare``. Raises ValueError."""
    brackets = bare.translate(None, _NO_BRACKETS)
    if brackets and b'"' in bare:
        brackets = b"".join(bare.split(b'"')[::2]).translate(None, _NO_BRACKETS)
    for _ in range(_ROUNDS):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    for match in _RUN.finditer(brackets):
        run = match[0]
        if run[0] in b"[{":
            opened += run
            continue
        if len(run) > len(opened):
            raise ValueError("more brackets are closed than were opened")
        del opened[-len(run) :]
