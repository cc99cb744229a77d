r"""Whether a rule's pattern matches some, all or none of the texts that a template stands for.

A pattern becomes an automaton, its states made as they are met. Look-around, back-references and
atomic groups are written as something that matches at least as often; such an automaton is not
*exact*: what it does not reach does not match, what it reaches may.

>>> automaton = automaton_of(r"status 5\d\d")
>>> [automaton.run(automaton.start, text) == HIT for text in ("status 50", "status 503")]
[False, True]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from re import _constants as op  # type: ignore[attr-defined]
from typing import Final, cast

from waybill.core.errors import WaybillError
from waybill.labelling.rules.pattern import tree_of
from waybill.learn.backtest.edges import Edge, Item, Jump, is_met, kind_of, known_of

__all__ = ["HIT", "Automaton", "Edge", "Jump", "Nodes", "TooComplex", "automaton_of"]

#: The state in which a match was found: whatever follows, the pattern matches.
HIT: Final = -1
#: States of one pattern beyond which nothing is said of it; a rule of the packs has 60 on average.
_MOST_NODES = 6_000
_MOST_STATES = 4_000
#: Words of which a pattern remembers where they lead: 100 bytes each, and hundreds of patterns.
_MOST_WORDS = 1_500


class TooComplex(WaybillError):
    """A pattern that would need too many states."""

    code = "too_complex"


class Automaton:
    """A pattern that is *searched* in a text, one character at a time."""

    def __init__(self, nodes: Nodes, first: int, last: int) -> None:
        self.is_exact = nodes.is_exact
        self._jumps = nodes.jumps
        self._first, self._last = first, last
        #: Edges that no character tells apart, as one; by node: where its edges lead, by that one.
        self._looks: list[Edge] = []
        #: For each look, which characters lead along it, as far as anybody asked.
        self._known: list[dict[str, bool]] = []
        self._edges = self._number_edges(nodes.edges)
        #: By number: the nodes that were reached, and the character before.
        self._states: list[tuple[frozenset[int], str]] = []
        self._numbers: dict[tuple[frozenset[int], str], int] = {}
        self._steps: list[dict[str, int]] = []
        self._alike: dict[tuple[str, frozenset[int]], str] = {}
        self._like: dict[str, str] = {}
        #: By character (the first of its like): the looks along which it leads.
        self._held: dict[str, frozenset[int]] = {}
        self._distinct: dict[str, list[str]] = {}
        self._words = 0
        self.start = self._number(frozenset(), "")
        #: What callers keep about a state, such as where a value leads from it.
        self.kept: dict[tuple[int, object], frozenset[int]] = {}

    def _number_edges(self, by_node: Sequence[Sequence[Edge]]) -> list[list[tuple[int, int]]]:
        numbers: dict[str, int] = {}
        numbered: list[list[tuple[int, int]]] = []
        for edges in by_node:
            ways: list[tuple[int, int]] = []
            for edge in edges:
                number = numbers.setdefault(repr(edge[:2]), len(numbers))
                if number == len(self._looks):
                    self._looks.append(edge)
                    self._known.append(known_of(repr(edge[:2])))
                ways.append((number, edge.target))
            numbered.append(ways)
        return numbered

    def size(self) -> int:
        """How many steps it remembers; each takes about 100 bytes."""
        return sum(map(len, self._steps))

    def run(self, state: int, text: str) -> int:
        """The state after ``text``. Raises TooComplex."""
        if state == HIT or not text:
            return state
        # A word that was here before is kept beside the characters.
        known = self._steps[state].get(text)
        return self._run(state, text) if known is None else known

    def _run(self, state: int, text: str) -> int:
        steps = self._steps
        first = state
        for character in text:
            # As `step`, which a known character need not call.
            known = steps[state].get(character)
            state = self.step(state, character) if known is None else known
            if state == HIT:
                break
        if self._words < _MOST_WORDS:
            self._words += 1
            steps[first][text] = state
        return state

    def step(self, state: int, character: str) -> int:
        """The state after one character more. Raises TooComplex."""
        known = self._steps[state]
        found = known.get(character)
        if found is None:
            like = self._like_of(character)
            found = known.get(like)
            if found is None:
                found = known[like] = self._take(state, like)
            known[character] = found
        return found

    def distinct(self, characters: str) -> list[str]:
        """Of ``characters`` those that the pattern tells apart."""
        found = self._distinct.get(characters)
        if found is None:
            found = self._distinct[characters] = sorted(set(map(self._like_of, characters)))
        return found

    def _like_of(self, character: str) -> str:
        """The first character that is to the pattern what ``character`` is."""
        like = self._like.get(character)
        if like is None:
            held = frozenset(self._held_by(character))
            kind = kind_of(character)
            like = self._alike.setdefault((kind, held), character)
            self._like[character] = like
            self._held[like] = held
        return like

    def _held_by(self, character: str) -> Iterator[int]:
        for number, known in enumerate(self._known):
            holds = known.get(character)
            if holds is None:
                holds = known[character] = self._looks[number].holds(character)
            if holds:
                yield number

    def ends(self, state: int) -> bool:
        """Whether the pattern has matched when the text ends here."""
        return state == HIT or self.step(state, "") == HIT

    def _take(self, state: int, character: str) -> int:
        reached, before = self._states[state]
        here = self._closure(reached, before, character)
        if self._last in here:
            return HIT
        held = self._held[character]
        after: set[int] = set()
        for node in here:
            for look, target in self._edges[node]:
                if look in held:
                    after.add(target)
        return self._number(frozenset(after), kind_of(character))

    def _closure(self, reached: frozenset[int], before: str, behind: str) -> set[int]:
        """The nodes that can be reached without a character, between two characters."""
        waiting = [self._first, *reached]
        seen = set(waiting)
        while waiting:
            for jump in self._jumps[waiting.pop()]:
                if jump.target not in seen and is_met(jump, before, behind):
                    seen.add(jump.target)
                    waiting.append(jump.target)
        return seen

    def _number(self, reached: frozenset[int], before: str) -> int:
        key = reached, before
        number = self._numbers.get(key)
        if number is None:
            if len(self._states) >= _MOST_STATES:
                raise TooComplex
            number = self._numbers[key] = len(self._states)
            self._states.append(key)
            self._steps.append({})
        return number


def automaton_of(pattern: str) -> Automaton:
    """The automaton of a rule's pattern.

    Raises:
        TooComplex: it would need too many states.
        ValueError: it is not a pattern.
    """
    tree = tree_of(pattern)
    nodes = Nodes()
    first = nodes.add()
    last = nodes.sequence(tree, int(tree.state.flags), first)
    return Automaton(nodes, first, last)


class Nodes:
    """The nodes of an automaton, made of a parse tree."""

    def __init__(self) -> None:
        self.edges: list[list[Edge]] = []
        self.jumps: list[list[Jump]] = []
        self.is_exact = True

    def add(self) -> int:
        """A new node. Raises TooComplex."""
        if len(self.edges) >= _MOST_NODES:
            raise TooComplex
        self.edges.append([])
        self.jumps.append([])
        return len(self.edges) - 1

    def sequence(self, items: Iterable[Item], flags: int, at: int) -> int:
        """Nodes for ``items`` behind the node ``at``; gives the last one."""
        for kind, value in items:
            at = self._item(kind, value, flags, at)
        return at

    def _item(self, kind: object, value: object, flags: int, at: int) -> int:
        if kind in (op.LITERAL, op.ANY):
            return self._edge(at, [(kind, value)], flags)
        if kind is op.NOT_LITERAL:
            return self._edge(at, [(op.NEGATE, None), (op.LITERAL, value)], flags)
        if kind is op.IN:
            return self._edge(at, value, flags)  # type: ignore[arg-type]
        if kind is op.AT:
            return self._jump(at, self.add(), value, flags)
        return self._nested(kind, value, flags, at)

    def _nested(self, kind: object, value: object, flags: int, at: int) -> int:
        """What holds further sequences. `re` gives each kind a tuple of its own."""
        if kind is op.BRANCH:
            return self._branch(value[1], flags, at)  # type: ignore[index]
        if kind is op.SUBPATTERN:
            _, added, removed, inner = cast("tuple[object, int, int, Sequence[Item]]", value)
            return self.sequence(inner, (flags | added) & ~removed, at)
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT):
            return self._repeat(value, flags, at)
        self.is_exact = False
        if kind is op.POSSESSIVE_REPEAT:
            return self._repeat(value, flags, at)
        if kind is op.ATOMIC_GROUP:
            return self.sequence(value, flags, at)  # type: ignore[arg-type]
        if kind in (op.ASSERT, op.ASSERT_NOT):
            return at
        return self._anything(at)  # a group that is referred to

    def _edge(self, at: int, items: Sequence[Item], flags: int) -> int:
        target = self.add()
        self.edges[at].append(Edge(items, flags, target))
        return target

    def _jump(self, at: int, target: int, condition: object = None, flags: int = 0) -> int:
        self.jumps[at].append(Jump(condition, flags, target))
        return target

    def _branch(self, branches: Iterable[Iterable[Item]], flags: int, at: int) -> int:
        target = self.add()
        for branch in branches:
            self._jump(self.sequence(branch, flags, self._jump(at, self.add())), target)
        return target

    def _repeat(self, value: object, flags: int, at: int) -> int:
        low, high, inner = cast("tuple[int, int, Sequence[Item]]", value)
        for _ in range(low):
            at = self.sequence(inner, flags, at)
        if high is op.MAXREPEAT:
            loop = self._jump(at, self.add())
            self._jump(self.sequence(inner, flags, loop), loop)
            return self._jump(loop, self.add())
        target = self.add()
        for _ in range(high - low):
            self._jump(at, target)
            at = self.sequence(inner, flags, self._jump(at, self.add()))
        return self._jump(at, target)

    def _anything(self, at: int) -> int:
        loop = self._jump(at, self.add())
        self.edges[loop].append(Edge([(op.ANY, None)], re.DOTALL, loop))
        return loop
