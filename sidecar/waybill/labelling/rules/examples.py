r"""Texts that a pattern should match, made of its parse tree: does it match any message at all?

Anchors that contradict each other, ``\b`` between two letters, a line end at the end: instead of a
list of what cannot match, texts are made that should, and tried.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from re import _constants as op  # type: ignore[attr-defined]
from typing import Any

_TRIES = 100
#: What may stand around the text: ``\B`` at the end wants a letter behind it.
_AROUND = (("", ""), ("q", ""), ("", "q"), ("q", "q"), (". ", " ."))
_ANY = "a Zq0_7-:.,/=x"
_OF_CATEGORY = {
    op.CATEGORY_DIGIT: "0123456789",
    op.CATEGORY_SPACE: " \t",
    op.CATEGORY_WORD: "azAZ09_q",
    op.CATEGORY_NOT_DIGIT: "a Z-_:",
    op.CATEGORY_NOT_SPACE: "aZ0-_:/",
    op.CATEGORY_NOT_WORD: " -:/.=",
}
#: Texts of a pattern may grow to this length.
_MAX_CHARS = 2000


def examples(tree: Iterable[tuple[Any, Any]]) -> Iterable[str]:
    """Texts made of ``tree``, alone and within others; without assertions each of them matches."""
    for seed in range(1, _TRIES + 1):
        text = _Maker(random.Random(seed)).text(tree)  # noqa: S311 - no secret is made
        for before, behind in _AROUND:
            yield f"{before}{text}{behind}"


def has_look_ahead_or_behind(items: Iterable[tuple[Any, Any]]) -> bool:
    """Whether there are conditions that a text made of the tree does not meet but by chance."""
    for kind, value in items:
        if kind is op.ASSERT or kind is op.GROUPREF_EXISTS:
            return True
        if any(has_look_ahead_or_behind(part) for part in _parts(kind, value)):
            return True
    return False


def _parts(kind: Any, value: Any) -> Sequence[Any]:
    """The sequences within an item."""
    if kind is op.BRANCH:
        return list(value[1])
    if kind is op.SUBPATTERN:
        return [value[3]]
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        return [value[2]]
    if kind is op.ATOMIC_GROUP:
        return [value]
    return []


class _Maker:
    """Makes one text; ``dice`` choose where there is a choice."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._groups: dict[int, str] = {}
        self._room = _MAX_CHARS

    def text(self, items: Iterable[tuple[Any, Any]]) -> str:
        return "".join(self._item(kind, value) for kind, value in items)

    def _item(self, kind: Any, value: Any) -> str:
        if kind is op.LITERAL:
            return chr(value)
        if kind is op.ANY:
            return self._dice.choice(_ANY)
        if kind is op.NOT_LITERAL:
            return self._other_than({chr(value)})
        if kind is op.IN:
            return self._one_of(value)
        if kind is op.GROUPREF:
            return self._groups.get(value, "")
        return self._nested(kind, value)

    def _nested(self, kind: Any, value: Any) -> str:
        if kind is op.BRANCH:
            return self.text(self._dice.choice(value[1]))
        if kind is op.SUBPATTERN:
            text = self.text(value[3])
            if value[0] is not None:
                self._groups[value[0]] = text
            return text
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            return self._repeat(value)
        if kind is op.ATOMIC_GROUP:
            return self.text(value)
        return ""

    def _repeat(self, value: tuple[Any, Any, Any]) -> str:
        low, high, inner = value
        most = min(int(low) + 3, int(low) + 3 if high is op.MAXREPEAT else int(high))
        texts: list[str] = []
        for _ in range(self._dice.randint(int(low), most)):
            if self._room <= 0:
                break
            texts.append(self.text(inner))
            self._room -= len(texts[-1]) + 1
        return "".join(texts)

    def _one_of(self, items: Sequence[tuple[Any, Any]]) -> str:
        if items[0][0] is not op.NEGATE:
            return self._member(items[self._dice.randrange(len(items))])
        return self._other_than(_members(items[1:]))

    def _member(self, item: tuple[Any, Any]) -> str:
        kind, value = item
        if kind is op.LITERAL:
            return chr(value)
        if kind is op.RANGE:
            return chr(self._dice.randint(*value))
        return self._dice.choice(_OF_CATEGORY[value])

    def _other_than(self, refused: set[str]) -> str:
        choice = [character for character in _ANY + '"()[]<>@#%\n\t' if character not in refused]
        return self._dice.choice(choice or [""])


def _members(items: Sequence[tuple[Any, Any]]) -> set[str]:
    """The ASCII characters that a set holds."""
    found: set[str] = set()
    for kind, value in items:
        if kind is op.LITERAL:
            found.add(chr(value))
        elif kind is op.RANGE:
            found.update(map(chr, range(value[0], min(value[1], 127) + 1)))
        else:
            found.update(_OF_CATEGORY[value])
    return found
