"""The language of templates: ``{name}`` is a slot, ``{a|b|}`` a choice, ``{{`` and ``}}`` are
braces.

>>> expand("{red|red} {{x}}", {}, random.Random(1))
'red {x}'
"""

from __future__ import annotations

import random
import re

from waybill.learn.corpus.entries import Slots
from waybill.learn.corpus.slots import fill, is_slot

__all__ = ["expand"]

#: Two braces of which the second opens a slot or a choice: a choice that begins with one.
_SLOT_FIRST = re.compile(r"\{\{[a-z_]+(?:\|[a-z_ ]*)*\}(?!\})")


def expand(template: str, slots: Slots, rng: random.Random) -> str:
    """One random expansion of a template. Raises KeyError for an unknown slot."""
    return _Expansion(template, slots, rng).text()


class _Expansion:
    """Walks over a template once; `_at` is where it stands."""

    def __init__(self, template: str, slots: Slots, rng: random.Random) -> None:
        self._template = template
        self._slots = slots
        self._rng = rng
        self._at = 0

    def text(self) -> str:
        """Everything outside braces, and what the braces stand for."""
        parts: list[str] = []
        while self._at < len(self._template):
            if self._is_brace():
                parts.append(self._template[self._at])
                self._at += 2
            elif self._template[self._at] == "{":
                self._at += 1
                parts.append(self._inside())
            else:
                parts.append(self._take())
        return "".join(parts)

    def _inside(self) -> str:
        """What stands between a brace and its partner; the walk goes on behind that."""
        start = self._at
        parts: list[str] = []
        options: list[str] = []
        has_choice = False
        while self._at < len(self._template) and self._template[self._at] != "}":
            if self._template[self._at] == "{":
                self._at += 1
                parts.append(self._inside())
            elif self._template[self._at] == "|":
                options.append("".join(parts))
                parts = []
                has_choice = True
                self._at += 1
            else:
                parts.append(self._take())
        name = self._template[start : self._at]
        self._at += 1
        if has_choice:
            return self._choose([*options, "".join(parts)])
        if is_slot(name, self._slots):
            return fill(name, self._slots, self._rng)
        return "{" + "".join(parts) + "}"  # plain braces of code and JSON

    def _choose(self, options: list[str]) -> str:
        chosen = self._rng.choice(options)
        if chosen in self._slots:
            return fill(chosen, self._slots, self._rng)
        return chosen

    def _is_brace(self) -> bool:
        if self._template[self._at : self._at + 2] not in ("{{", "}}"):
            return False
        return not _SLOT_FIRST.match(self._template, self._at)

    def _take(self) -> str:
        char = self._template[self._at]
        self._at += 1
        return char
