r"""The pattern dialect, and its translation for Hyperscan.

A rule's pattern means what ``re.search(pattern, message, re.ASCII)`` means: ``\d``, ``\w``, ``\s``,
``\b`` and ``(?i)`` know ASCII only. Hyperscan reads a dialect that differs in corners (``{,3}``,
``\Z``, case folding beyond ASCII), so a pattern is not handed to it as written: Python's own parser
reads it, and what it understood is written out in the part of the language that both agree on.

What Hyperscan cannot do (look-around, back-references, atomic groups, ...) is written as something
that matches at least as often, and each match is then confirmed with the original pattern.
"""

from __future__ import annotations

import functools
import itertools
import re
import warnings
from collections.abc import Iterable

# The parser behind `re` has no public name; its tree has been stable since Python 2.
from re import _compiler, _parser  # type: ignore[attr-defined]
from re import _constants as op  # type: ignore[attr-defined]
from typing import Any

import msgspec
import regex

from waybill.labelling.rules.character_class import (
    DOT_ALL,
    IGNORE_CASE,
    MULTI_LINE,
    both_cases,
    class_text,
)
from waybill.labelling.rules.confirmation import write_confirmation

_TOO_DEEP = "groups are nested too deeply"
_ANYTHING = "(?s:.)*"
_ASCII, _UNICODE = int(re.ASCII), int(re.UNICODE)
#: Repeats nested to more states than this are compiled alone first, under the clock.
SUSPICIOUS_STATES = 2_000
_STARTS = (op.AT_BEGINNING, op.AT_BEGINNING_STRING)
_ENDS = (op.AT_END, op.AT_END_STRING)
_DIGIT, _SPACE, _WORD = "0-9", r"\x09-\x0d\x20", "0-9A-Z_a-z"
_CATEGORIES = {
    op.CATEGORY_DIGIT: _DIGIT,
    op.CATEGORY_SPACE: _SPACE,
    op.CATEGORY_WORD: _WORD,
    op.CATEGORY_NOT_DIGIT: r"\x00-\x2f\x3a-\x{10ffff}",
    op.CATEGORY_NOT_SPACE: r"\x00-\x08\x0e-\x1f\x21-\x{10ffff}",
    op.CATEGORY_NOT_WORD: r"\x00-\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x{10ffff}",
}


class Translation(msgspec.Struct, frozen=True):
    """A pattern for Hyperscan. ``is_exact`` is False when its matches must be confirmed."""

    expression: str
    is_exact: bool
    #: A rough count of automaton states, to tell patterns that may compile for long.
    states: int
    #: The same pattern for `regex`, which confirms matches.
    confirmation: str


def translate(pattern: str) -> Translation:
    """``pattern`` for Hyperscan (flags UTF8, SINGLEMATCH, ALLOWEMPTY).

    Raises:
        ValueError: the pattern is not a Python regular expression, or not one for here; the
            message says where.
    """
    try:
        tree = parse(pattern)
        writer = _Writer()
        expression = writer.sequence(tree, tree.state.flags)
        confirmation = write_confirmation(tree, tree.state.flags)
        if not writer.is_exact:
            compile_confirmation(confirmation)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    return Translation(expression, writer.is_exact, writer.states, confirmation)


def compile_confirmation(confirmation: str) -> regex.Pattern[str]:
    """A `Translation.confirmation`, ready to search.

    Raises:
        ValueError: `regex` cannot have it.
    """
    try:
        return regex.compile(confirmation, regex.ASCII | regex.VERSION0)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"cannot be confirmed: {error}") from None


@functools.lru_cache(maxsize=1024)
def tree_of(pattern: str) -> Any:
    """The parse tree of a pattern that `parse` has accepted, without checking it again."""
    return _parser.parse(pattern, re.ASCII)


def parse(pattern: str) -> Any:
    """The parse tree of ``pattern`` as `re` understands it.

    Raises:
        ValueError: it is not a Python regular expression, or says two things at once.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # "[[" and its like mean two things
            tree = _parser.parse(pattern, _ASCII)
            _compiler.compile(tree, _ASCII)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except (re.error, OverflowError, FutureWarning) as error:
        raise ValueError(str(error)) from None
    return tree


class _Writer:
    """Writes a parse tree; notes whether what it wrote is exact."""

    def __init__(self) -> None:
        self.is_exact = True
        self.states = 0
        self._factor = 1
        #: Whether nothing but anchors like it can stand before, or behind, what is written next.
        self._is_first = self._is_last = True

    def sequence(self, items: Iterable[tuple[Any, Any]], flags: int) -> str:
        items = list(items)
        is_first, is_last = self._is_first, self._is_last
        begin = _count_anchors(items, _STARTS)
        end = len(items) - 1 - _count_anchors(reversed(items), _ENDS)
        text = ""
        for at, (kind, value) in enumerate(items):
            self._is_first = is_first and at <= begin
            self._is_last = is_last and at >= end
            text += self._item(kind, value, flags)
        self._is_first, self._is_last = is_first, is_last
        return text

    def _item(self, kind: Any, value: Any, flags: int) -> str:
        self.states += self._factor
        if kind is op.LITERAL:
            return _literal(value, flags)
        if kind is op.NOT_LITERAL:
            return f"[^{both_cases(_range, value, value, flags)}]"
        if kind is op.ANY:
            return "(?s:.)" if flags & DOT_ALL else r"[^\x0a]"
        if kind is op.IN:
            return class_text(_range, _CATEGORIES, value, flags)
        if kind is op.BRANCH:
            return "(?:" + "|".join(self.sequence(branch, flags) for branch in value[1]) + ")"
        if kind is op.SUBPATTERN:
            _, added, removed, inner = value
            if added & _UNICODE:
                raise ValueError("(?u: is not supported: \\d, \\w, \\s and \\b know ASCII only")
            return f"(?:{self.sequence(inner, (flags | added) & ~removed)})"
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT):
            return self._repeat(value, flags)
        if kind is op.AT:
            return self._position(value, flags)
        return self._superset(kind, value, flags)

    def _repeat(self, value: tuple[Any, Any, Any], flags: int) -> str:
        low, high, inner = value
        outer, bound = self._factor, int(low if high is op.MAXREPEAT else high)
        self._factor = outer * max(1, bound)
        is_first, is_last = self._is_first, self._is_last
        if high is op.MAXREPEAT or bound > 1:  # each but one has another beside it
            self._is_first = self._is_last = False
        text = self.sequence(inner, flags)
        self._factor, self._is_first, self._is_last = outer, is_first, is_last
        if low == high:
            return f"(?:{text}){{{int(low)}}}"
        return f"(?:{text}){{{int(low)},{'' if high is op.MAXREPEAT else int(high)}}}"

    def _position(self, value: Any, flags: int) -> str:
        if value is op.AT_BEGINNING and flags & MULTI_LINE:
            # After a final line end Python sees one more line begin, Hyperscan does not.
            self.is_exact = False
            return ""
        if value is op.AT_NON_BOUNDARY:
            self.is_exact = False  # they differ on the empty message
            return ""
        if (value in _STARTS and not self._is_first) or (value in _ENDS and not self._is_last):
            self.is_exact = False  # Hyperscan has them at the outer ends of a pattern only
            return ""
        if value is op.AT_END and flags & MULTI_LINE:
            return "(?m:$)"
        return {
            op.AT_END: "$",
            op.AT_BEGINNING: "^",
            op.AT_BEGINNING_STRING: "^",
            op.AT_END_STRING: r"\z",
            op.AT_BOUNDARY: r"\b",
        }[value]

    def _superset(self, kind: Any, value: Any, flags: int) -> str:
        """Something that matches wherever the unsupported construct does."""
        self.is_exact = False
        if kind in (op.ASSERT, op.ASSERT_NOT):
            self.sequence(value[1], flags)  # for what it refuses
            return ""
        if kind is op.ATOMIC_GROUP:
            return f"(?:{self.sequence(value, flags)})"
        if kind is op.POSSESSIVE_REPEAT:
            return self._repeat(value, flags)
        if kind is op.GROUPREF_EXISTS:
            _, present, absent = value
            self.sequence([*present, *(absent or ())], flags)  # for what it refuses
        return _ANYTHING  # references to groups


def _count_anchors(items: Iterable[tuple[Any, Any]], anchors: tuple[Any, ...]) -> int:
    """How many of ``anchors`` the items begin with."""
    found = itertools.takewhile(lambda item: item[0] is op.AT and item[1] in anchors, items)
    return sum(1 for _ in found)


def _literal(code: int, flags: int) -> str:
    text = both_cases(_range, code, code, flags)
    return (
        f"[{text}]" if flags & IGNORE_CASE and chr(code).isascii() and chr(code).isalpha() else text
    )


def _range(low: int, high: int) -> str:
    return _code(low) if low == high else f"{_code(low)}-{_code(high)}"


def _code(code: int) -> str:
    char = chr(code)
    return char if char.isascii() and char.isalnum() else f"\\x{{{code:x}}}"
