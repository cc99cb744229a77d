"""What leads from one node of an automaton to another: characters, and conditions between them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from re import _constants as op  # type: ignore[attr-defined]
from typing import NamedTuple, TypeAlias, cast

__all__ = ["Edge", "Item", "Jump", "is_met", "kind_of", "known_of"]

#: One step of a parse tree of `re`: its kind, and what belongs to it.
Item: TypeAlias = "tuple[object, object]"
_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_DIGIT = frozenset("0123456789")
_SPACE = frozenset(" \t\n\r\f\v")
#: As a number: of two members of an enumeration `&` takes ten times as long.
_IGNORECASE = int(re.IGNORECASE)


class Edge(NamedTuple):
    """From a node to another on one character; ``items`` are those of a character class."""

    items: Sequence[Item]
    flags: int
    target: int

    def holds(self, character: str) -> bool:
        """Whether ``character`` leads along it; ``""``, the end of the text, never does."""
        if not character:
            return False
        codes = [ord(character)]
        if self.flags & _IGNORECASE and character.isascii():
            codes += [ord(character.lower()), ord(character.upper())]
        if self.items[0][0] is op.NEGATE:
            return not any(_is_one_of(self.items[1:], one, self.flags) for one in codes)
        return any(_is_one_of(self.items, one, self.flags) for one in codes)


class Jump(NamedTuple):
    """From a node to another without a character, where ``condition`` holds (None: always)."""

    condition: object
    flags: int
    target: int


@functools.lru_cache(maxsize=4096)
def known_of(_: str) -> dict[str, bool]:
    """What is known of an edge, by how it is written: patterns share most of theirs."""
    return {}


def _is_one_of(items: Iterable[Item], code: int, flags: int) -> bool:
    for kind, value in items:
        if kind is op.ANY:
            is_met = code != ord("\n") or bool(flags & re.DOTALL)
        elif kind is op.RANGE:
            low, high = cast("tuple[int, int]", value)
            is_met = low <= code <= high
        elif kind is op.CATEGORY:
            is_met = _is_of(value, chr(code))
        else:
            is_met = code == value
        if is_met:
            return True
    return False


def _is_of(category: object, character: str) -> bool:
    for positive, negative, members in (
        (op.CATEGORY_DIGIT, op.CATEGORY_NOT_DIGIT, _DIGIT),
        (op.CATEGORY_SPACE, op.CATEGORY_NOT_SPACE, _SPACE),
        (op.CATEGORY_WORD, op.CATEGORY_NOT_WORD, _WORD),
    ):
        if category in (positive, negative):
            return (character in members) == (category is positive)
    raise ValueError(f"no such category: {category}")


def kind_of(character: str) -> str:
    """What a position remembers of the character before it: ``a`` word, LF, ``-`` other."""
    if character in _WORD:
        return "a"
    return character if character in ("", "\n") else "-"


def is_met(jump: Jump, before: str, behind: str) -> bool:
    """Whether the condition of a jump holds between two characters (``""``: there is none)."""
    condition = jump.condition
    if condition is None:
        return True
    is_multiline = bool(jump.flags & re.MULTILINE)
    if condition is op.AT_BEGINNING:
        return before == "" or (is_multiline and before == "\n")
    if condition is op.AT_BEGINNING_STRING:
        return before == ""
    if condition is op.AT_END:
        # No prepared text ends in a line end, so that `$` says no more than `\Z` there.
        return behind == "" or (is_multiline and behind == "\n")
    if condition is op.AT_END_STRING:
        return behind == ""
    is_boundary = (before == "a") != (behind != "" and behind in _WORD)
    return is_boundary == (condition is op.AT_BOUNDARY)
