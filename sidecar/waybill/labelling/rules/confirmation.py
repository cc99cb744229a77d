r"""A pattern in the dialect of the `regex` engine, which confirms what Hyperscan cannot decide.

`regex` has a time limit, which `re` has not, and differs from it in corners: ``x{e}`` is a fuzzy
match, ``[a[:digit:]]`` a POSIX class, ``\B`` matches an empty text, letters beyond ASCII fold. So
it is not given the pattern as written either: Python's parser reads it, and what it understood is
written out character by character. What is left means the same to both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _constants as op  # type: ignore[attr-defined]
from typing import Any

from waybill.labelling.rules.character_class import (
    DOT_ALL,
    IGNORE_CASE,
    MULTI_LINE,
    both_cases,
    class_text,
)

#: `re` does not match ``\B`` in an empty text before Python 3.14, and does from then on.
_NON_BOUNDARY = r"\B" if re.search(r"\B", "") else r"(?!\A\Z)\B"
_POSITIONS = {
    op.AT_BEGINNING: r"\A",
    op.AT_BEGINNING_STRING: r"\A",
    op.AT_END: r"(?=\n?\Z)",
    op.AT_END_STRING: r"\Z",
    op.AT_BOUNDARY: r"\b",
    op.AT_NON_BOUNDARY: _NON_BOUNDARY,
}
_CATEGORIES = {
    op.CATEGORY_DIGIT: "0-9",
    op.CATEGORY_SPACE: r"\x09-\x0d\x20",
    op.CATEGORY_WORD: "0-9A-Z_a-z",
    op.CATEGORY_NOT_DIGIT: r"\x00-\x2f\x3a-\U0010ffff",
    op.CATEGORY_NOT_SPACE: r"\x00-\x08\x0e-\x1f\x21-\U0010ffff",
    op.CATEGORY_NOT_WORD: r"\x00-\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\U0010ffff",
}


def write_confirmation(items: Iterable[tuple[Any, Any]], flags: int) -> str:
    """The parse tree ``items`` for `regex` with ASCII and VERSION0. ``flags`` are those of `re`."""
    return "".join(_item(kind, value, flags) for kind, value in items)


def _item(kind: Any, value: Any, flags: int) -> str:
    if kind is op.LITERAL:
        return f"[{both_cases(_span, value, value, flags)}]"
    if kind is op.NOT_LITERAL:
        return f"[^{both_cases(_span, value, value, flags)}]"
    if kind is op.ANY:
        return r"[\x00-\U0010ffff]" if flags & DOT_ALL else r"[^\n]"
    if kind is op.IN:
        return class_text(_span, _CATEGORIES, value, flags)
    if kind is op.AT:
        return _position(value, flags)
    if kind is op.BRANCH:
        return f"(?:{'|'.join(write_confirmation(branch, flags) for branch in value[1])})"
    return _group(kind, value, flags)


def _group(kind: Any, value: Any, flags: int) -> str:
    """What holds other items, or refers to such."""
    if kind is op.SUBPATTERN:
        number, added, removed, inner = value
        text = write_confirmation(inner, (flags | added) & ~removed)
        return f"(?:{text})" if number is None else f"({text})"
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        return _repeat(kind, value, flags)
    if kind in (op.ASSERT, op.ASSERT_NOT):
        direction, inner = value
        sign = "=" if kind is op.ASSERT else "!"
        behind = "<" if direction < 0 else ""
        return f"(?{behind}{sign}{write_confirmation(inner, flags)})"
    if kind is op.ATOMIC_GROUP:
        return f"(?>{write_confirmation(value, flags)})"
    if kind is op.GROUPREF_EXISTS:
        number, present, absent = value
        otherwise = write_confirmation(absent, flags) if absent is not None else ""
        return f"(?({number}){write_confirmation(present, flags)}|{otherwise})"
    if kind is op.GROUPREF:
        return rf"(?i:\g<{value}>)" if flags & IGNORE_CASE else rf"\g<{value}>"
    if kind is op.FAILURE:
        return "(?!)"
    raise ValueError(f"a construct that is not supported: {str(kind).lower()}")


def _repeat(kind: Any, value: tuple[Any, Any, Any], flags: int) -> str:
    low, high, inner = value
    bound = "" if high is op.MAXREPEAT else int(high)
    mode = {op.MAX_REPEAT: "", op.MIN_REPEAT: "?", op.POSSESSIVE_REPEAT: "+"}[kind]
    return f"(?:{write_confirmation(inner, flags)}){{{int(low)},{bound}}}{mode}"


def _position(value: Any, flags: int) -> str:
    if flags & MULTI_LINE and value is op.AT_BEGINNING:
        return r"(?:\A|(?<=\n))"
    if flags & MULTI_LINE and value is op.AT_END:
        return r"(?=\n|\Z)"
    return _POSITIONS[value]


def _span(low: int, high: int) -> str:
    return _code(low) if low == high else f"{_code(low)}-{_code(high)}"


def _code(code: int) -> str:
    char = chr(code)
    return char if char.isascii() and char.isalnum() else f"\\U{code:08x}"
