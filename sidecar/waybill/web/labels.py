"""How a label is shown: a code, a shape, a slot of the palette.

The ten labels that come with Waybill have theirs; those of another taxonomy take the slots in
order, and their code is made of the letters of their name.
"""

from __future__ import annotations

import functools
import re
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
}
_SLOTS = 9
_CODE_CHARS = 4
#: Keys of a keyboard in the order of the labels; the fallback always has 0.
_KEYS = "123456789abcdefghijklmnopqrstuvwxyz"


class Face(NamedTuple):
    """A label as pages show it; ``slot`` 10 is grey, and ``key`` answers it in the queue."""

    name: str
    code: str
    slot: int
    key: str


class Faces(dict[str, Face]):
    """Name -> face; a label that the taxonomy does not know (any more) is grey."""

    def __missing__(self, name: str) -> Face:
        return Face(name, _code(name), _SLOTS + 1, "")

    def in_order(self) -> list[Face]:
        """The labels of the taxonomy, in its order."""
        return list(self.values())


@functools.lru_cache(maxsize=8)
def faces(taxonomy: Taxonomy) -> Faces:
    """The face of every label."""
    found = Faces()
    taken = 0
    for name in taxonomy.names:
        if name == taxonomy.fallback:
            found[name] = Face(name, _code(name), _SLOTS + 1, "0")
            continue
        code, slot = _KNOWN.get(name, (_code(name), min(taken + 1, _SLOTS + 1)))
        key = _KEYS[taken] if taken < len(_KEYS) else ""
        taken += 1
        found[name] = Face(name, code, slot, key)
    return found


def _code(name: str) -> str:
    """Up to four letters: the initials of several words, or the beginning of one."""
    words = re.findall(r"\w+", name.upper())
    if len(words) > 1:
        return "".join(word[0] for word in words)[:_CODE_CHARS]
    return "".join(words)[:_CODE_CHARS] or "?"
