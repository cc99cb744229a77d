"""What both sides can say of one pattern: every pair of verdicts that its values can lead to."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from waybill.labelling.groups import SourceGroup
from waybill.labelling.rules.ruleset import Rule
from waybill.learn.backtest.compared import ComparedRules
from waybill.learn.backtest.result import Said
from waybill.learn.backtest.sides import Side
from waybill.learn.backtest.texts import Reach, Text, of_mask, of_message

__all__ = ["ANOTHER", "Judge", "Lines", "Pair", "Scope"]

#: What the old and the new side say; None: no rule decides, so the model is to be asked.
Pair: TypeAlias = "tuple[Said | None, Said | None]"
#: A rule that both sides have, and that nobody can tell without seeing a line.
ANOTHER = Said("", "another rule")
#: Rules that may match or not, up to which every combination is tried.
_MOST_OPEN = 8
#: A mask or an example of more characters may be cut: neither is longer than 512.
_SHOWN_CHARS = 480


class Lines:
    """The lines of a mask, by its examples where it has any."""

    def __init__(self, mask: str, examples: Sequence[str]) -> None:
        self._mask, self._examples = mask, examples
        #: Their words, in lower case.
        self.words = "\n".join((mask, *examples)).lower()
        #: Whether texts are made of examples, so that heads, quotes and braces are known.
        self.is_dressed = bool(examples)
        #: Whether the lines go on where mask and examples end.
        self.is_cut = max(map(len, (mask, *examples))) > _SHOWN_CHARS

    @functools.cached_property
    def texts(self) -> tuple[Text, ...]:
        """What the lines can be."""
        if not self._examples:
            return tuple(of_mask(self._mask))
        return tuple(dict.fromkeys(map(of_message, self._examples)))


class Scope(NamedTuple):
    """Sources that are alike on both sides: the rules in question, as indexes.

    ``path`` is the index of their route. ``is_open``: which sources they are is not known, so that
    a rule for some sources may be meant or not.
    """

    old: frozenset[int]
    new: frozenset[int]
    path: int
    is_open: bool = False
    #: The rules that only one side puts these sources to.
    changed: frozenset[int] = frozenset()


class Judge:
    """Asks the rules of both sides about patterns."""

    def __init__(self, old: Side, new: Side) -> None:
        self._old, self._new = old, new
        self._compared = ComparedRules(old.rules, new.rules)
        self._has_other_model = old.bundle is not new.bundle
        self._scopes: dict[tuple[SourceGroup, SourceGroup], Scope] = {}
        self._open_scopes: list[Scope] | None = None

    def scope_of(self, source: str) -> Scope:
        """The scope of a source."""
        groups = self._old.pipeline.edition.groups
        old, new = groups[source], self._new.pipeline.edition.groups[source]
        found = self._scopes.get((old, new))
        if found is None:
            mine = self._allowed(old, is_old=True)
            theirs = self._allowed(new, is_old=False)
            found = _make_scope(mine, theirs, groups.path_index(source))
            self._scopes[old, new] = found
        return found

    def open_scopes(self) -> list[Scope]:
        """What sources can have that nobody named: one scope for each route."""
        if self._open_scopes is None:
            paths = self._old.pipeline.edition.paths
            self._open_scopes = list(map(self._open_scope, range(len(paths))))
        return self._open_scopes

    def may_touch(self, text: str) -> bool:
        """Whether lines that are told in ``text``, in lower case, may get another verdict.

        Asked before a text is read: what else stands in it only makes the answer yes more often.
        """
        rules = map(self._compared.rules.__getitem__, self._compared.changed)
        return self._has_other_model or any(rule.may_match(text, is_cut=True) for rule in rules)

    def pairs(self, lines: Lines, scope: Scope) -> frozenset[Pair] | None:
        """Every pair of verdicts that lines of a pattern can get.

        None: no rule that matches any of them differs, and neither does the model.
        """
        if not self._has_other_model and not self._is_touched(lines, scope):
            return None
        return self.all_pairs(lines, scope)

    def all_pairs(self, lines: Lines, scope: Scope) -> frozenset[Pair]:
        """As `pairs`, also where nothing differs."""
        found: set[Pair] = set()
        near = self._compared.near(lines.words, is_cut=lines.is_cut)
        for text in lines.texts:
            found.update(self._pairs_of(lines, text, scope, near))
        if not lines.is_dressed and self._may_be_dressed(lines, scope):
            found.add((ANOTHER, ANOTHER))
        return frozenset(found)

    def _allowed(self, group: SourceGroup, *, is_old: bool) -> Iterator[int]:
        """The rules of one side that a group of sources is put to."""
        if not group.path.route.has_rules:
            return
        for index in self._compared.old if is_old else self._compared.new:
            if group.allowed is None or self._rule(index, is_old=is_old).index in group.allowed:
                yield index

    def _open_scope(self, path: int) -> Scope:
        route = self._old.pipeline.edition.paths[path].route
        if not route.has_rules:
            return _make_scope((), (), path, is_open=True)
        sides: list[list[int]] = []
        for is_old, order in ((True, self._compared.old), (False, self._compared.new)):
            permits = route.scope.permits
            sides.append([i for i in order if permits(self._rule(i, is_old=is_old).label)])
        return _make_scope(sides[0], sides[1], path, is_open=True)

    def _rule(self, index: int, *, is_old: bool) -> Rule:
        compared = self._compared.rules[index]
        rule = compared.old if is_old else compared.new
        assert rule is not None
        return rule

    def _is_touched(self, lines: Lines, scope: Scope) -> bool:
        """Whether a rule of one side only may match some of the lines."""
        near = self._compared.changed_near(lines.words, is_cut=lines.is_cut)
        for index in filter(scope.changed.__contains__, near):
            for text in lines.texts:
                if self._reach(index, lines, text, scope) != "none":
                    return True
        return False

    def _may_be_dressed(self, lines: Lines, scope: Scope) -> bool:
        """Whether a rule of both sides may match lines that are dressed otherwise than `of_mask`.

        Such a line gets the same label from both.
        """
        both = (scope.old | scope.new) - self._compared.changed
        near = filter(both.__contains__, self._compared.near(lines.words))
        return any(self._compared.rules[index].reads_dress for index in near)

    def _reach(self, index: int, lines: Lines, text: Text, scope: Scope) -> Reach:
        rule = self._compared.rules[index]
        if not rule.may_match(lines.words, is_cut=lines.is_cut and rule.is_changed):
            return "none"
        found = rule.reach(text)
        if found == "none":
            is_hidden = lines.is_cut or (rule.reads_dress and not lines.is_dressed)
            return "some" if is_hidden and rule.is_changed else "none"
        is_open = rule.is_scoped and scope.is_open
        return "some" if is_open else found

    def _pairs_of(
        self, lines: Lines, text: Text, scope: Scope, near: Sequence[int]
    ) -> Iterable[Pair]:
        known: dict[int, Reach] = {}  # most rules are in both
        old = self._in_question(filter(scope.old.__contains__, near), lines, text, scope, known)
        new = self._in_question(filter(scope.new.__contains__, near), lines, text, scope, known)
        both = old | new
        open_rules = list(filter(lambda index: both[index] == "some", both))
        if len(open_rules) > _MOST_OPEN:
            yield from itertools.product(
                self._outcomes(old, is_old=True), self._outcomes(new, is_old=False)
            )
            return
        for count in range(len(open_rules) + 1):
            for matching in itertools.combinations(open_rules, count):
                yield (
                    self._first(old, matching, is_old=True),
                    self._first(new, matching, is_old=False),
                )

    def _in_question(
        self,
        order: Iterable[int],
        lines: Lines,
        text: Text,
        scope: Scope,
        known: dict[int, Reach],
    ) -> dict[int, Reach]:
        """The rules that may decide, in order: up to the first that matches all of the texts."""
        found: dict[int, Reach] = {}
        for index in order:
            reached = known.get(index)
            if reached is None:
                reached = known[index] = self._reach(index, lines, text, scope)
            if reached == "none":
                continue
            found[index] = reached
            if reached == "all":
                break
        return found

    def _first(
        self, rules: dict[int, Reach], matching: Collection[int], *, is_old: bool
    ) -> Said | None:
        for index, reached in rules.items():
            if reached == "all" or index in matching:
                return self._say(index, is_old=is_old)
        return None

    def _outcomes(self, rules: dict[int, Reach], *, is_old: bool) -> list[Said | None]:
        """Everything that one side can say."""
        said: list[Said | None] = [self._say(index, is_old=is_old) for index in rules]
        if "all" not in rules.values():
            said.append(None)
        return said

    def _say(self, index: int, *, is_old: bool) -> Said:
        rule = self._rule(index, is_old=is_old)
        return Said(rule.label, rule.id)


def _make_scope(
    old: Iterable[int], new: Iterable[int], path: int, *, is_open: bool = False
) -> Scope:
    mine, theirs = frozenset(old), frozenset(new)
    return Scope(mine, theirs, path, is_open, mine ^ theirs)
