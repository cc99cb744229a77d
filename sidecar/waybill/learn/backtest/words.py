r"""Words that a message must hold for a pattern to match it: asked first, since it is cheap.

>>> words_of(r"connection (?:refused|reset) by \S+")
({'connection'},)
>>> words_of(r"\d+ (panic|oops)")
({'anic', 'oops'},)
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from re import _constants as op  # type: ignore[attr-defined]
from typing import Literal, NamedTuple, TypeAlias, cast

from waybill.labelling.rules.pattern import tree_of
from waybill.learn.backtest.edges import Item

__all__ = [
    "Need",
    "Values",
    "WordIndex",
    "Words",
    "are_there",
    "is_one_there",
    "phrases_of",
    "words_of",
]

#: See `words_of`.
Words: TypeAlias = "tuple[set[str], ...]"
#: What of a fixed text, in lower case, a pattern asks for.
Cut: TypeAlias = "Callable[[str], Iterable[str]]"
#: What varies in a text: digits, with points and commas at most; other signs too; letters as well.
Values: TypeAlias = Literal["numbers", "names", "ids"]

#: Letters of a word; shorter ones stand in every other message.
_LEAST = 3
#: A run of letters of a message: every word lies in one.
_RUN = re.compile(rf"[a-z]{{{_LEAST},}}")
#: Runs whose words are remembered.
_MOST_RUNS = 10_000
#: Words, but for those that a value of a message can spell: hexadecimal digits, a month.
_FIXED = re.compile(rf"[a-z]{{{_LEAST},}}")
_OF_TIME = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mon|tue|wed|thu|fri|sat|sun"
_OF_VALUES = re.compile(rf"[a-fx]*|{_OF_TIME}")
#: Keys of structured lines that a mask does not show.
_KEYS = re.compile(r"level|lvl|severity|msg|message|log|event|text|body|time|date|stream|stdout")
#: What no value holds, and letters; and what no value can hold that is no more than a number.
_SIGNS = r""" \t"'()\[\]{}<>%&;!?|$^\\`"""
_BETWEEN_VALUES = re.compile(rf"[a-z{_SIGNS}]+")
_BETWEEN_NUMBERS = re.compile(rf"[a-z{_SIGNS}:/_+@=#~*-]+")
#: Words that a value can spell, of those that hold letters and of others.
_WHOLE_IDS = re.compile(rf"(?<![a-z])(?:[a-fx]+|[qz]+|{_OF_TIME})(?![a-z])")
_WHOLE_NAMES = re.compile(rf"(?<![a-z])(?:[qz]+|{_OF_TIME})(?![a-z])")
_HEAD, _TAIL = re.compile("[a-z]+"), re.compile("(?<![a-z])[a-z]+$")
#: Signs that are worth to be looked for by themselves.
_RARE = frozenset("\"'()[]{}<>%&;!?|$^\\`/_+@=#~*")
#: Letters of which a value can hold many.
_SPELT = frozenset("abcdefxqz")


@functools.lru_cache(maxsize=4096)
def words_of(pattern: str) -> Words:
    """Texts in lower case: of each set, every message that ``pattern`` matches holds at least one.

    A mask shows them, too. Empty where nothing can be said: any message may match.
    """
    return tuple(map(_one_of_each, _of_sequence(tree_of(pattern), _words_in)))


class WordIndex:
    """Which of many rules a message may match, by one of the sets of words that each asks for."""

    def __init__(self, asked: Iterable[tuple[int, Words]]) -> None:
        """``asked``: the words of each rule, by its index."""
        self._always: list[int] = []
        self._by_word: dict[str, list[int]] = {}
        self._known: dict[str, frozenset[int]] = {}
        for i, sets in asked:
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


class Need(NamedTuple):
    """What a text must hold: one of ``words``, or all that one of ``others`` asks for."""

    words: frozenset[str]
    others: tuple[tuple[Need, ...], ...] = ()


@functools.lru_cache(maxsize=8192)
def phrases_of(pattern: str, values: Values = "names") -> tuple[Need, ...]:
    """What ``pattern`` asks of all that stands in a text between its values, in lower case."""
    return tuple(_of_sequence(tree_of(pattern), _CUTS[values]))


def are_there(needs: Iterable[Need], text: str) -> bool:
    """Whether ``text``, in lower case, holds all that is asked for."""
    for need in needs:
        if not is_one_there(need.words, text):
            for other in need.others:
                if are_there(other, text):
                    break
            else:
                return False
    return True


def is_one_there(words: Iterable[str], text: str) -> bool:
    """Whether ``text`` holds one of ``words``."""
    return any(map(text.__contains__, words))  # a generator would cost more than the search


def _of_sequence(items: Iterable[Item], cut: Cut) -> list[Need]:
    """What the items of a sequence ask for, all of it."""
    found: list[Need] = []
    run: list[str] = []
    for kind, value in [*items, (None, None)]:
        if kind is op.LITERAL:
            run.append(chr(cast("int", value)))
            continue
        found += [Need(frozenset((part,))) for part in cut("".join(run).lower())]
        found += _of_item(kind, value, cut)
        run = []
    return found


def _of_item(kind: object, value: object, cut: Cut) -> list[Need]:
    if kind is op.SUBPATTERN:
        return _of_sequence(cast("Sequence[Iterable[Item]]", value)[3], cut)
    if kind is op.ATOMIC_GROUP:
        return _of_sequence(cast("Iterable[Item]", value), cut)
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        low, _, inner = cast("tuple[int, int, Iterable[Item]]", value)
        return _of_sequence(inner, cut) if low else []
    if kind is op.BRANCH:
        return _of_branches(cast("tuple[object, Sequence[Iterable[Item]]]", value)[1], cut)
    return []


def _of_branches(branches: Iterable[Iterable[Item]], cut: Cut) -> list[Need]:
    """That one branch is there; nothing where a branch asks for nothing."""
    words: set[str] = set()
    others: list[tuple[Need, ...]] = []
    for branch in branches:
        found = _of_sequence(branch, cut)
        if not found:
            return []
        if len(found) == 1:
            words |= found[0].words
            others += found[0].others
        else:
            others.append(tuple(found))
    return [Need(frozenset(words), tuple(others))]


def _one_of_each(need: Need) -> set[str]:
    """Words of which each text holds one: of all that a branch asks for the longest."""
    words = set(need.words)
    for other in need.others:
        words |= max(map(_one_of_each, other), key=_shortest)
    return words


def _words_in(text: str) -> Iterator[str]:
    """The parts of a fixed text that are the same in every message and in its mask."""
    return filter(_is_lasting, _FIXED.findall(text))


def _between(values: re.Pattern[str], spelt: re.Pattern[str], text: str) -> Iterator[str]:
    """The parts of a fixed text that ``values`` leaves, without the words of ``spelt``."""
    for run in values.findall(text):
        for part in spelt.split(run):
            if len(part) > 1 or part in _RARE:
                yield part


def _firm_phrases_in(text: str) -> Iterator[str]:
    """The parts of a fixed text that no value can spell, nor begin or end."""
    for part in _between(_BETWEEN_VALUES, _WHOLE_IDS, text):
        begin, end = 0, len(part)
        head, tail = _HEAD.match(part), _TAIL.search(part)
        if head and _may_be_of_value(head[0]):
            begin = head.end()
        if tail and _may_be_of_value(tail[0]):
            end = tail.start()
        if end - begin > 1 or part[begin:end] in _RARE:
            yield part[begin:end]


def _may_be_of_value(letters: str) -> bool:
    return len(letters) <= _LEAST or set(letters) <= _SPELT


def _is_lasting(word: str) -> bool:
    """Whether a mask shows the word as it stands in the message."""
    return _OF_VALUES.fullmatch(word) is None and _KEYS.search(word) is None


#: How to cut what stands between values of a kind.
_CUTS: dict[Values, Cut] = {
    "numbers": functools.partial(_between, _BETWEEN_NUMBERS, _WHOLE_NAMES),
    "names": functools.partial(_between, _BETWEEN_VALUES, _WHOLE_NAMES),
    "ids": _firm_phrases_in,
}
