r"""Patterns that read alike, in groups for the eye: the mask stays what decides.

Two masks are alike if they have as many words, most of them are the same at the same places, and
none of those that differ tells how something went: ``login failed`` is not like ``login accepted``.

>>> group_ids(["user ann logged in", "user bob logged in", "user bob logged off"])
['ec99c2ba6f444e4e', 'ec99c2ba6f444e4e', 'de173a3b11aa5e39']
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from waybill.core.pattern import pattern_id

__all__ = ["Alike", "group_ids", "tells_outcome"]

#: Share of the words that two alike masks have in common; each group has at least two of them.
#: Of 48,000 masks of software without rules, 0.6 makes 5,100 groups and puts 0.04 % of the
#: masks beside masks that mostly have another label, in 0.1 ms a mask.
_ALIKE = 0.6
_LEAST_SAME = 2
#: Groups that a mask is compared with at most, the latest first.
_MOST_COMPARED = 64
#: Stands where the masks of a group differ.
_ANY = "<*>"

#: What varies in a word of a mask.
_VALUE = re.compile(r"\d+(?:[.,]\d+)*|<id>")
_LETTERS = re.compile(r"[^\W\d_]+")
#: Beginnings of words that tell how something went; of short ones the whole.
_OUTCOME = re.compile(
    r"(?:trace|debug|info|notice|warn|err|fatal|panic|crit|sever|emerg|alert"
    r"|fail|succe|accept|reject|refus|den[iy]|allow|permit|grant|forbid|block|drop|abort|cancel"
    r"|invalid|valid|corrupt|malform|miss|lost|lose|recover|restor|retr[iy]|timeout|timed|expir"
    r"|start|stop|finish|complet|begin|end(?:ed|ing)?$|exit|kill|crash|creat|delet|remov"
    r"|add(?:ed|ing)?$|connect|disconnect|open|clos|enabl|disabl|lock|up$|down$|on$|off$|ok$"
    r"|not?$|never$|cannot|deprecat|attack|breach|escalat|revok|full$|low$|high$|exceed|exhaust"
    r"|slow|reach|health|online|offline|true$|false$|yes$|un|in(?:active|complete))",
    re.IGNORECASE,
)

_Words: TypeAlias = "tuple[str, ...]"


class _Group:
    __slots__ = ("id", "words")

    def __init__(self, group: str, words: list[str]) -> None:
        self.id = group
        self.words = words


class Alike:
    """Groups of masks, made as masks come. The id of a group is that of the mask that began it, so
    that it stays when others come; masks in another order may be grouped otherwise.
    """

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._by_place: dict[int, list[_Group]] = {}

    def add(self, mask: str, group: str | None = None) -> str:
        """The id of the group of ``mask``; ``group`` is the id that it had before."""
        words = _words(mask)
        if group is None:
            found = self._find(words)
            group = found.id if found is not None else pattern_id(mask)
        known = self._groups.get(group)
        if known is not None:
            known.words = _joined(known.words, words)
            return group
        known = self._groups[group] = _Group(group, list(words))
        for place in _places(words):
            self._by_place.setdefault(place, []).append(known)
        return group

    def form(self, group: str) -> str:
        """What the masks of a group have in common, ``<*>`` where they differ."""
        return " ".join(self._groups[group].words)

    def _find(self, words: _Words) -> _Group | None:
        best: _Group | None = None
        most = max(_LEAST_SAME, _ALIKE * len(words)) - 0.5
        for place in _places(words):
            for group in self._by_place.get(place, [])[: -_MOST_COMPARED - 1 : -1]:
                same = _same(group.words, words)
                if same > most:
                    best, most = group, same
        return best


def group_ids(masks: Iterable[str]) -> list[str]:
    """The id of the group of each mask, 16 hex digits; at best in an order that does not change."""
    alike = Alike()
    return list(map(alike.add, masks))


def tells_outcome(word: str) -> bool:
    """Whether a word tells how something went: a level, ``failed``, ``up``, ``not``."""
    return any(map(_OUTCOME.match, _LETTERS.findall(word)))


def _words(mask: str) -> _Words:
    """The words, without numbers and ids, and without values that tell no outcome."""
    words: list[str] = []
    for word in mask.split():
        name, equals, value = word.rpartition("=")
        if equals and not tells_outcome(value):
            word = name + equals
        words.append(sys.intern(_VALUE.sub("0", word)))  # most stand in many masks
    return tuple(words)


def _places(words: _Words) -> Iterator[int]:
    """Where a mask is looked for: by its first two words, and by its last two; as a number, since
    `_same` tells apart what shares one by chance.
    """
    count = len(words)
    yield hash((count, 0, words[:2]))
    yield hash((count, 1, words[-2:]))


def _same(mine: list[str], theirs: _Words) -> int:
    """How many words are the same; -1 if what differs tells an outcome, or the length does."""
    if len(mine) != len(theirs):
        return -1
    same = 0
    for one, other in zip(mine, theirs, strict=True):
        if one == other:
            same += 1
        elif tells_outcome(other) or (one != _ANY and tells_outcome(one)):
            return -1
    return same


def _joined(mine: list[str], theirs: _Words) -> list[str]:
    joined: list[str] = []
    for one, other in zip(mine, theirs, strict=False):
        joined.append(one if one == other else _ANY)
    return joined
