"""Two rule sets side by side: which rules they share, and which only one of them has.

A rule is the same in both if it gives the same label to the same messages of the same sources, and
stands in the same order among the others: its id, file and samples do not matter.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from difflib import SequenceMatcher

from waybill.labelling.rules.ruleset import Rule, RuleSet
from waybill.learn.backtest.automaton import Automaton, TooComplex, automaton_of
from waybill.learn.backtest.texts import Reach, Text, fixed_of, reach
from waybill.learn.backtest.words import (
    Need,
    Values,
    WordIndex,
    Words,
    are_there,
    is_one_there,
    phrases_of,
    words_of,
)

__all__ = ["ComparedRule", "ComparedRules"]


class ComparedRule:
    """One rule of the old set, of the new one, or of both."""

    def __init__(self, old: Rule | None, new: Rule | None) -> None:
        self.old, self.new = old, new
        rule = old or new
        assert rule is not None
        self._pattern = rule.pattern
        #: Whether it reads what a mask does not show: quotes and braces of structured lines.
        self.reads_dress = any(sign in rule.pattern for sign in '"{}=')
        self.is_scoped = rule.sources is not None
        self._known: dict[Text, Reach] = {}
        self._phrases: dict[Values, tuple[Need, ...]] = {}

    @functools.cached_property
    def words(self) -> Words:
        """See `words_of`."""
        return words_of(self._pattern)

    @property
    def is_changed(self) -> bool:
        """Whether only one of the two sets has it."""
        return self.old is None or self.new is None

    def may_match(self, text: str, *, is_cut: bool = False) -> bool:
        """Whether a message with these words, in lower case, may match.

        Of one that ``is_cut`` some of the words may stand where nobody sees them, but not all.
        """
        for words in self.words:
            # What settles the answer ends the search: one group that is there, or one that is not.
            if is_one_there(words, text) == is_cut:
                return is_cut
        return not is_cut or not self.words

    def reach(self, text: Text) -> Reach:
        """How many of the texts it matches."""
        known = self._known.get(text)
        if known is None:
            known = self._ask(text)
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[text] = known
        return known

    def _ask(self, text: Text) -> Reach:
        fixed = fixed_of(text)
        # Most rules that are asked match nothing: that a phrase is missing is soon found out.
        if fixed is not None and not are_there(self._phrases_of(fixed.values), fixed.text):
            return "none"
        return "some" if self._automaton is None else reach(self._automaton, text)

    def _phrases_of(self, values: Values) -> tuple[Need, ...]:
        known = self._phrases.get(values)
        if known is None:
            known = self._phrases[values] = phrases_of(self._pattern, values)
        return known

    @functools.cached_property
    def _automaton(self) -> Automaton | None:
        try:
            return _AUTOMATA.of(self._pattern)
        except TooComplex:
            return None


#: Answers that a rule remembers: the sources of one pattern ask the same.
_KEPT = 16
#: Rules that are asked one after the other sooner than they are looked up.
_FEW = 16
#: Steps that the automata remember together, at about 100 bytes each.
_MOST_STEPS = 200_000


class KeptAutomata:
    """The automata of patterns. One rule set after another is compared: what is known of a pattern
    stays known, as long as all together stay small; those that were not asked for longest go.
    """

    def __init__(self, most_steps: int = _MOST_STEPS) -> None:
        self._most_steps = most_steps
        self._kept: dict[str, Automaton] = {}

    def of(self, pattern: str) -> Automaton:
        """The automaton of a rule's pattern. Raises TooComplex, ValueError."""
        found = self._kept.pop(pattern, None)
        if found is None:
            found = automaton_of(pattern)
            self._make_room()
        self._kept[pattern] = found
        return found

    def _make_room(self) -> None:
        sizes = {pattern: one.size() for pattern, one in list(self._kept.items())}
        steps = sum(sizes.values())
        for pattern, size in sizes.items():
            if steps <= self._most_steps:
                return
            self._kept.pop(pattern, None)  # another thread may have it
            steps -= size


_AUTOMATA = KeptAutomata()


class ComparedRules:
    """All enforced rules of both sets; ``old`` and ``new`` are indexes in ``rules``, in order."""

    def __init__(self, old: RuleSet, new: RuleSet) -> None:
        self.rules: list[ComparedRule] = []
        self.old: list[int] = []
        self.new: list[int] = []
        mine = list(filter(_is_enforced, old.rules))
        theirs = list(filter(_is_enforced, new.rules))
        matcher = SequenceMatcher(None, _keys(mine), _keys(theirs), autojunk=False)
        for _, start, stop, new_start, new_stop in matcher.get_opcodes():
            self._add(mine[start:stop], theirs[new_start:new_stop])
        #: The rules that only one of them has.
        self.changed = frozenset(self.old) ^ frozenset(self.new)

    @functools.cached_property
    def _index(self) -> WordIndex:
        return WordIndex(enumerate(rule.words for rule in self.rules))

    @functools.cached_property
    def _changed(self) -> WordIndex:
        return WordIndex((i, self.rules[i].words) for i in self.changed)

    def near(self, text: str, *, is_cut: bool = False) -> list[int]:
        """The rules that a message with these words, in lower case, may match, in order.

        With ``is_cut`` every rule that only one set has is among them.
        """
        found = [i for i in self._index.asked_for(text) if self.rules[i].may_match(text)]
        return sorted(self.changed.union(found)) if is_cut else found

    def changed_near(self, text: str, *, is_cut: bool = False) -> list[int]:
        """As `near`, of the rules that only one set has."""
        is_each = is_cut or len(self.changed) <= _FEW
        asked = self.changed if is_each else self._changed.asked_for(text)
        return [i for i in asked if self.rules[i].may_match(text, is_cut=is_cut)]

    def _add(self, old: Sequence[Rule], new: Sequence[Rule]) -> None:
        """Rules between two that both sets share, or a piece that they share."""
        if _keys(old) == _keys(new):
            for mine, theirs in zip(old, new, strict=True):
                self._put(mine, theirs)
            return
        for rule in old:
            self._put(rule, None)
        for rule in new:
            self._put(None, rule)

    def _put(self, old: Rule | None, new: Rule | None) -> None:
        index = len(self.rules)
        self.rules.append(ComparedRule(old, new))
        if old is not None:
            self.old.append(index)
        if new is not None:
            self.new.append(index)


def _is_enforced(rule: Rule) -> bool:
    return rule.mode != "shadow"


def _keys(rules: Sequence[Rule]) -> list[tuple[object, ...]]:
    return [(rule.pattern, rule.label, rule.sources) for rule in rules]
