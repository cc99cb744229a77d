"""How a label is shown: a code, a shape, a slot of the palette.

Labels that many taxonomies have, those that come with Waybill and with its packs among them, have
slots of their own, so that they look alike wherever they are met. Others take the slots that are
left, in their order; where all are taken they begin again, with another frame (``turn``). A code is
made of the letters of a name and is that of one label.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from waybill.core.labels import Taxonomy

_KNOWN = {
    "Security Alert": ("SEC", 1),
    "HTTP Status": ("HTTP", 2),
    "Critical Error": ("CRIT", 3),
    "Resource Usage": ("RES", 4),
    "Deprecation Warning": ("DEPR", 5),
    "Workflow Error": ("FLOW", 6),
    "User Action": ("USER", 7),
    "Error": ("ERR", 8),
    "System Notification": ("SYS", 9),
    "Critical": ("CRIT", 3),
    "High": ("HIGH", 8),
    "Medium": ("MED", 4),
    "Low": ("LOW", 5),
    "Informational": ("INFO", 9),
}
#: By slot, colours for programs whose theme is not ours: each is seen on white and on near black,
#: and told from the others by people who see fewer colours (tests/web/test_colours.py).
ANYWHERE = {
    1: "#ae79f9",
    2: "#3f5edc",
    3: "#c73779",
    4: "#b37d0e",
    5: "#746a14",
    6: "#966049",
    7: "#529367",
    8: "#e14136",
    9: "#2c9bb7",
    10: "#848f9a",
}
_SLOTS = 9
_CODE_CHARS = 4
#: Keys of a keyboard in the order of the labels; the fallback always has 0.
_KEYS = "123456789abcdefghijklmnopqrstuvwxyz"


_TURNS = 4


class Face(NamedTuple):
    """A label as pages show it; ``slot`` 10 is grey, and ``key`` answers it in the queue.

    Labels of one slot differ in ``turn``.
    """

    name: str
    code: str
    slot: int
    key: str
    turn: int = 0

    @property
    def style(self) -> str:
        """The classes of colour and frame."""
        return f"l{self.slot} t{self.turn}" if self.turn else f"l{self.slot}"


class Faces(dict[str, Face]):
    """Name -> face; a label that the taxonomy does not know (any more) is grey."""

    def __missing__(self, name: str) -> Face:
        return Face(name, next(_codes(name)), _SLOTS + 1, "")

    def in_order(self) -> list[Face]:
        """The labels of the taxonomy, in its order."""
        return list(self.values())


@functools.lru_cache(maxsize=8)
def faces(taxonomy: Taxonomy) -> Faces:
    """The face of every label."""
    names = [name for name in taxonomy.names if name != taxonomy.fallback]
    places = _places(names)
    keys = dict(zip(names, _KEYS, strict=False))
    found = Faces()
    codes: set[str] = set()
    for name in taxonomy.names:
        code = next(code for code in _codes(name) if code not in codes)
        codes.add(code)
        if name == taxonomy.fallback:
            found[name] = Face(name, code, _SLOTS + 1, "0")
            continue
        turn, slot = places[name]
        found[name] = Face(name, code, slot, keys.get(name, ""), turn)
    return found


def _places(names: list[str]) -> dict[str, tuple[int, int]]:
    """The turn and slot of each label: known ones have theirs, others what is left."""
    places: dict[str, tuple[int, int]] = {}
    for name in names:
        if name in _KNOWN and (0, _KNOWN[name][1]) not in places.values():
            places[name] = (0, _KNOWN[name][1])
    taken = set(places.values())
    every = ((number // _SLOTS, number % _SLOTS + 1) for number in itertools.count())
    free = (place for place in every if place not in taken)
    for name in names:
        if name not in places:
            turn, slot = next(free)
            places[name] = (turn % _TURNS, slot)
    return places


def _codes(name: str) -> Iterator[str]:
    """Up to four letters, the best first: initials of words, their beginnings, then numbers."""
    if name in _KNOWN:
        yield _KNOWN[name][0]
    words = re.findall(r"\w+", name.upper()) or ["?"]
    initials = "".join(word[0] for word in words)
    beginning = "".join(words)[:_CODE_CHARS]
    if len(words) > 1:
        yield initials[:_CODE_CHARS]
        yield "".join(word[:2] for word in words)[:_CODE_CHARS]
    yield beginning
    for number in itertools.count(2):
        yield f"{beginning[: _CODE_CHARS - len(str(number))]}{number}"
