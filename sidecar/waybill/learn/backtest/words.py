r"""Words that a message must hold for a pattern to match it: asked first, since it is cheap.

>>> words_of(r"connection (?:refused|reset) by \S+")
({'connection'},)
>>> words_of(r"\d+ (panic|oops)")
({'anic', 'oops'},)
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from re import _constants as op  # type: ignore[attr-defined]
from typing import TypeAlias, cast

from waybill.labelling.rules.pattern import tree_of
from waybill.learn.backtest.edges import Item

__all__ = ["WordIndex", "Words", "words_of"]

#: See `words_of`.
Words: TypeAlias = "tuple[set[str], ...]"

#: Letters of a word; shorter ones stand in every other message.
_LEAST = 3
#: A run of letters of a message: every word lies in one.
_RUN = re.compile(rf"[a-z]{{{_LEAST},}}")
#: Runs whose words are remembered.
_MOST_RUNS = 10_000
#: Words, but for those that a value of a message can spell: hexadecimal digits, a month.
_FIXED = re.compile(rf"[a-z]{{{_LEAST},}}")
_OF_VALUES = re.compile(r"[a-fx]*|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec")
#: Keys of structured lines that a mask does not show.
_KEYS = re.compile(r"level|lvl|severity|msg|message|log|event|text|body|time|date|stream|stdout")


@functools.lru_cache(maxsize=4096)
def words_of(pattern: str) -> Words:
    """Texts in lower case: of each set, every message that ``pattern`` matches holds at least one.

    A mask shows them, too. Empty where nothing can be said: any message may match.
    """
    return tuple(_of_sequence(tree_of(pattern)))


class WordIndex:
    """Which of many rules a message may match, by one of the sets of words that each asks for."""

    def __init__(self, asked: Sequence[Words]) -> None:
        """``asked``: the words of each rule."""
        self._always: list[int] = []
        self._by_word: dict[str, list[int]] = {}
        self._known: dict[str, frozenset[int]] = {}
        for i, sets in enumerate(asked):
            if not sets:
                self._always.append(i)
                continue
            for word in max(sets, key=_shortest):
                self._by_word.setdefault(word, []).append(i)
        self._longest = max(map(len, self._by_word), default=0)

    def asked_for(self, text: str) -> list[int]:
        """Indexes of rules, in order: every one that ``text``, in lower case, holds all words of
        is among them.
        """
        found = set(self._always)
        for run in set(_RUN.findall(text)):
            known = self._known.get(run)
            if known is None:
                known = frozenset(self._asked_by(run))
                if len(self._known) < _MOST_RUNS:
                    self._known[run] = known
            found |= known
        return sorted(found)

    def _asked_by(self, run: str) -> Iterator[int]:
        for first in range(len(run) - _LEAST + 1):
            for last in range(first + _LEAST, min(len(run), first + self._longest) + 1):
                yield from self._by_word.get(run[first:last], ())


def _shortest(words: Iterable[str]) -> int:
    return min(map(len, words))


def _of_sequence(items: Iterable[Item]) -> list[set[str]]:
    """What the items of a sequence ask for, all of it."""
    found: list[set[str]] = []
    run: list[str] = []
    for kind, value in [*items, (None, None)]:
        if kind is op.LITERAL:
            run.append(chr(cast("int", value)))
            continue
        found += _of_run("".join(run))
        found += _of_item(kind, value)
        run = []
    return found


def _of_item(kind: object, value: object) -> list[set[str]]:
    if kind is op.SUBPATTERN:
        return _of_sequence(cast("Sequence[Iterable[Item]]", value)[3])
    if kind is op.ATOMIC_GROUP:
        return _of_sequence(cast("Iterable[Item]", value))
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        low, _, inner = cast("tuple[int, int, Iterable[Item]]", value)
        return _of_sequence(inner) if low else []
    if kind is op.BRANCH:
        return _of_branches(cast("tuple[object, Sequence[Iterable[Item]]]", value)[1])
    return []


def _of_branches(branches: Iterable[Iterable[Item]]) -> list[set[str]]:
    """One word of each branch, the longest; nothing where a branch asks for none."""
    words: set[str] = set()
    for branch in branches:
        found = _of_sequence(branch)
        if not found:
            return []
        words |= max(found, key=_shortest)
    return [words]


def _of_run(text: str) -> list[set[str]]:
    """The parts of a fixed text that are the same in every message and in its mask."""
    parts = _FIXED.findall(text.lower())
    return [{part} for part in parts if _is_lasting(part)]


def _is_lasting(word: str) -> bool:
    """Whether a mask shows the word as it stands in the message."""
    return _OF_VALUES.fullmatch(word) is None and _KEYS.search(word) is None
