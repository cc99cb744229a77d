"""What varies in a message: numbers, addresses, ids, names of hosts, and what cleaning took out.

A `Value` knows every text that may stand in its place, so that a pattern can be asked about all of
them at once.
"""

from __future__ import annotations

import functools
import itertools
import random
from typing import TypeAlias

from waybill.labelling.rules.pattern import parse
from waybill.learn.backtest.automaton import HIT, Automaton, Nodes

__all__ = [
    "COLONS",
    "DAY",
    "DIGIT",
    "HEX",
    "HEX_0X",
    "ID",
    "INTEGER",
    "IP",
    "IPV4",
    "IPV4_AND_MORE",
    "MONTH",
    "NAME",
    "NUMBER",
    "PLACE",
    "TEXT",
    "UUID",
    "Value",
    "ruler",
]

#: A place while two automata walk side by side: a node of a value, a state of a pattern.
_Place: TypeAlias = "tuple[int, int]"
_ASCII = [chr(code) for code in range(9, 127)]
#: Steps of `Value.draw` after which the shortest way out is taken.
_DRAWN_STEPS = 12


class Value:
    """A kind of value; ``pattern`` describes all of its texts with ASCII classes and repeats."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        nodes = Nodes()
        self._first = nodes.add()
        self._last = nodes.sequence(parse(pattern), 0, self._first)
        #: By node: where a jump leads.
        self._jumps: list[list[int]] = []
        #: By node: where an edge leads, and the characters that take it.
        self._edges: list[list[tuple[int, str]]] = []
        for jumps, edges in zip(nodes.jumps, nodes.edges, strict=True):
            self._jumps.append([jump.target for jump in jumps])
            ways = [(edge.target, "".join(filter(edge.holds, _ASCII))) for edge in edges]
            self._edges.append(ways)

    def lead(self, automaton: Automaton, state: int) -> frozenset[int]:
        """The states in which ``automaton`` can be behind this value. Raises TooComplex."""
        if state == HIT:
            return frozenset((HIT,))
        key = state, self.pattern
        known = automaton.kept.get(key)
        if known is None:
            known = automaton.kept[key] = self._walk(automaton, state)
        return known

    def _walk(self, automaton: Automaton, state: int) -> frozenset[int]:
        begin: _Place = (self._first, state)
        waiting = [begin]
        seen = {begin}
        while waiting:
            node, at = waiting.pop()
            after: set[_Place] = set(zip(self._jumps[node], itertools.repeat(at)))
            for target, characters in self._edges[node]:
                reached = _reached(automaton, at, characters)
                after.update(zip(itertools.repeat(target), reached))
            fresh = after - seen
            seen |= fresh
            waiting += fresh
        return frozenset(at for node, at in seen if node == self._last)

    def draw(self, dice: random.Random) -> str:
        """One of its texts."""
        node = self._first
        drawn: list[str] = []
        for steps in range(100 * _DRAWN_STEPS):
            if node == self._last:
                break
            ways = [(target, "") for target in self._jumps[node]]
            if not ways or steps < _DRAWN_STEPS:
                ways += self._edges[node]
            # The last jump leads out of a repeat, as `Nodes` writes one.
            node, characters = dice.choice(ways) if steps < _DRAWN_STEPS else ways[-1]
            drawn.append(dice.choice(characters or [""]))
        return "".join(drawn)


def _reached(automaton: Automaton, state: int, characters: str) -> set[int]:
    """The states after one of ``characters``."""
    if state == HIT:
        return {HIT}
    return set(map(functools.partial(automaton.step, state), automaton.distinct(characters)))


_HEX = "[0-9a-fA-F]"
_IPV4 = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
_COLONS = rf"(?:{_HEX}{{0,4}}:){{3,8}}{_HEX}{{1,4}}"
_UUID = rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
_PLACE = r"[A-Z]{1,3}[0-9]+(?:[-:][A-Z]{1,3}[0-9]*)+"
DIGIT = Value(r"[0-9]")
INTEGER = Value(r"[0-9]+")
NUMBER = Value(r"[0-9]+(?:[.,][0-9]+)*")
IPV4 = Value(_IPV4)
IPV4_AND_MORE = Value(rf"{_IPV4}(?::[0-9]{{1,5}}|/[0-9]{{1,2}})")
COLONS = Value(_COLONS)
IP = Value(rf"{_IPV4}(?::[0-9]{{1,5}}|/[0-9]{{1,2}})?|{_COLONS}")
UUID = Value(_UUID)
HEX = Value(rf"{_HEX}{{8,}}")
HEX_0X = Value(rf"0[xX]{_HEX}+")
PLACE = Value(_PLACE)
ID = Value(rf"{_UUID}|0[xX]{_HEX}+|{_HEX}{{8,}}|{_PLACE}")
#: Names and what was cleaned can hold any letter, but spell no word of a rule.
NAME = Value(r"[QZqz0-9_.:-]+")
MONTH = Value("Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec")
DAY = Value("Mon|Tue|Wed|Thu|Fri|Sat|Sun")
#: What stood where cleaning put ``<secret>``, ``<email>`` and the like.
TEXT = Value(r"[QZqz0-9_.:/=+@-]+")


def ruler(character: str) -> Value:
    """Three characters or more of which a line is drawn: the mask shortens them to three."""
    return Value(rf"[{'' if character.isalnum() else chr(92)}{character}]{{3,}}")
