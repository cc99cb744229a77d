"""Groups of sources with the same route and rules in scope: each has one memo of exact messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Sized
from typing import cast

import msgspec

from waybill.core.batch import MAX_SOURCE_CHARS
from waybill.core.correction import ANY_SOURCE
from waybill.core.records import Verdict
from waybill.labelling.corrections.table import CorrectionTable, Lookup
from waybill.labelling.memo import BoundedMap, MaskMemo
from waybill.labelling.rules.ruleset import RuleSet
from waybill.labelling.slow_path import SlowPath
from waybill.labelling.texts import Texts

#: Sources remembered at most; beyond it the table starts anew.
MAX_SOURCES = 10_000
#: Groups at most (overlapping globs make one for each combination); beyond it all start anew.
MAX_GROUPS = 256
#: Stands in for a verdict that only a slow tier can give; it never leaves the pipeline.
UNDECIDED = Verdict("", "none", reason="undecided")


class Decided(msgspec.Struct, gc=False):
    """Verdicts in order, and how many of them came from corrections, from rules and from the memo
    of shapes.
    """

    verdicts: list[Verdict]
    by_rules: int = 0
    by_shape: int = 0
    by_corrections: int = 0

    def joined(self, other: Decided) -> Decided:
        """Both, one behind the other."""
        return Decided(
            self.verdicts + other.verdicts,
            self.by_rules + other.by_rules,
            self.by_shape + other.by_shape,
            self.by_corrections + other.by_corrections,
        )


class SourceGroup:
    """Decides what needs no waiting, for the sources of one group."""

    __slots__ = ("allowed", "corrections", "exact", "known", "path", "rules")

    def __init__(
        self,
        rules: RuleSet,
        path: SlowPath,
        allowed: frozenset[int] | None,
        memo_bytes: int,
        corrections: Lookup | None = None,
    ) -> None:
        self.rules = rules
        #: What people said, asked before the rules; None where nobody said anything.
        self.corrections = corrections
        self.path = path
        #: Indexes of the rules in scope; None for all.
        self.allowed = allowed
        self.exact: BoundedMap[Verdict] = BoundedMap(memo_bytes)
        #: The exact memo's young generation, for the hot loop.
        self.known: Callable[[str], Verdict | None] = self.exact.recent.get

    def keep(self, message: str, verdict: Verdict) -> None:
        """Have `known` give ``verdict`` for ``message`` as it came."""
        self.exact.put(message, verdict)

    def decide(self, texts: Texts) -> Decided:
        """Verdicts by corrections, else by rules, else by shape, else `UNDECIDED`; the exact memo
        is the caller's.
        """
        if self.corrections is None:
            return self._decide(texts)
        corrected = self.corrections.verdicts(texts.prepared)
        rest = [i for i, verdict in enumerate(corrected) if verdict is None]
        if len(rest) == len(corrected):
            return self._decide(texts)
        decided = self._decide(texts.at(rest))
        others = iter(decided.verdicts)
        decided.verdicts = [verdict or next(others) for verdict in corrected]
        decided.by_corrections = len(corrected) - len(rest)
        return decided

    def _decide(self, texts: Texts) -> Decided:
        """`decide` where no correction has anything to say."""
        route = self.path.route
        if route.has_rules:
            rules = self.rules.first_matches(texts.prepared, self.allowed, texts.data)
        else:
            rules = [None] * len(texts.prepared)
        verdicts: list[Verdict] = []
        if not route.tiers:
            fallback = route.fallback
            verdicts = [rule.verdict if rule is not None else fallback for rule in rules]
            return Decided(verdicts, len(rules) - rules.count(None))
        rest = [key for key, rule in zip(texts.shapes, rules, strict=True) if rule is None]
        others = self._by_shape(rest)
        by_rules = len(rules) - len(rest)
        by_shape = len(rest) - others.count(UNDECIDED)
        if not by_rules:
            return Decided(others, 0, by_shape)
        following = iter(others)
        for rule in rules:
            verdicts.append(next(following) if rule is None else rule.verdict)
        return Decided(verdicts, by_rules, by_shape)

    def _by_shape(self, keys: Sequence[str]) -> list[Verdict]:
        """The verdicts that slow tiers gave texts of these shapes, else `UNDECIDED`."""
        memo = self.path.memo.shapes
        found = list(map(memo.recent.get, keys))
        if None not in found:
            return cast("list[Verdict]", found)
        lookup = memo.get
        return [
            verdict or lookup(key) or UNDECIDED for key, verdict in zip(keys, found, strict=True)
        ]


class CorrectedSource(SourceGroup):
    """A group of one source, which has corrections of its own.

    Their number is not bounded as that of groups is, so all of them share ``exact``.
    """

    __slots__ = ("_prefix",)

    def __init__(
        self, source: str, alike: SourceGroup, exact: BoundedMap[Verdict], corrections: Lookup
    ) -> None:
        super().__init__(alike.rules, alike.path, alike.allowed, 0, corrections)
        self.exact = exact
        # No source that is corrected holds a NUL, so no two pairs make one key.
        self._prefix = prefix = f"{source}\0"
        recent = exact.recent.get
        self.known = lambda message: recent(prefix + message)

    def keep(self, message: str, verdict: Verdict) -> None:
        """See `SourceGroup`."""
        self.exact.put(self._prefix + message, verdict)


class SourceGroups(dict[str, SourceGroup]):
    """Source -> group, filled as sources appear.

    It does not know its edition: with a cycle, an edition that a reload replaced would keep its
    memo until the collector's next full pass, which on a settled service is an hour away.
    """

    def __init__(
        self,
        rules: RuleSet,
        paths: Sequence[SlowPath],
        memo_bytes: int,
        corrections: CorrectionTable | None = None,
    ) -> None:
        super().__init__()
        self._rules = rules
        self._paths = paths
        self._corrections = corrections
        self._masks = MaskMemo(0)
        #: Exact messages of sources that have corrections of their own.
        self.corrected: BoundedMap[Verdict] = BoundedMap(0)
        if corrections is not None:
            self._masks = MaskMemo(memo_bytes // 4)
            memo_bytes -= memo_bytes // 4
            if corrections.by_source:
                self.corrected = BoundedMap(memo_bytes // 3)
                memo_bytes -= memo_bytes // 3
        self._memo_bytes = memo_bytes
        #: By index of the path and rules in scope.
        self.distinct: dict[tuple[int, frozenset[int] | None], SourceGroup] = {}

    def __missing__(self, source: str) -> SourceGroup:
        if len(source) > MAX_SOURCE_CHARS:
            return self[source[:MAX_SOURCE_CHARS]]
        if len(self) >= MAX_SOURCES:
            self.clear()
        group = self._group_for(source)
        self[source] = group
        return group

    def path_index(self, source: str) -> int:
        """The first path whose route ``source`` takes; the settings guarantee that there is one."""
        source = source[:MAX_SOURCE_CHARS]
        return next(i for i, path in enumerate(self._paths) if path.route.fits(source))

    def _group_for(self, source: str) -> SourceGroup:
        """The group that ``source`` shares with all sources like it."""
        index = self.path_index(source)
        path = self._paths[index]
        allowed = None
        if path.route.has_rules:
            allowed = self._rules.allowed_for(source, path.route.scope.labels)
        group = self.distinct.get((index, allowed))
        if group is None:
            group = self._new_group(path, allowed)
            self.distinct[index, allowed] = group
        corrections = self._corrections
        if corrections is None or source not in corrections.by_source:
            return group
        own = corrections.for_source(source, self._masks)
        return CorrectedSource(source, group, self.corrected, own)

    def failed(self, error: Exception) -> SourceGroup:
        """A group for a source that cannot be looked up: asking it raises ``error``."""

        def fail(_: str) -> Verdict | None:
            raise error

        group = SourceGroup(self._rules, self._paths[0], None, 0)
        group.known = fail
        return group

    def _new_group(self, path: SlowPath, allowed: frozenset[int] | None) -> SourceGroup:
        """A group more; all of them together keep to the memo's size."""
        if len(self.distinct) >= MAX_GROUPS:
            self.clear()
            self.distinct.clear()
        count = max(len(self._paths), len(self.distinct) + 1)
        # By powers of two, so that a group more seldom changes what the others may hold.
        share = self._memo_bytes >> (count - 1).bit_length()
        for other in self.distinct.values():
            other.exact.resize(share)
        corrections = None
        if self._corrections is not None:
            corrections = self._corrections.for_source(ANY_SOURCE, self._masks)
        return SourceGroup(self._rules, path, allowed, share, corrections)

    def kept(self) -> list[Sized]:
        """What has most of the memory of all groups."""
        found = [*self.corrected.kept(), *self._masks.kept()]
        for group in self.distinct.values():
            found += group.exact.kept()
        return found

    def entries(self) -> int:
        """Exact messages whose verdicts are kept."""
        return len(self.corrected) + sum(len(group.exact) for group in self.distinct.values())


def are_same(groups: Sequence[SourceGroup]) -> bool:
    """Whether all are one: told by identity, in C."""
    return groups.count(groups[0]) == len(groups)


def by_group(
    groups: Sequence[SourceGroup], indexes: Sequence[int]
) -> Iterable[tuple[SourceGroup, Sequence[int]]]:
    """``indexes`` by the group that each has in ``groups``; mostly there is one."""
    if are_same(groups):
        return [(groups[0], indexes)] if indexes else []
    found: dict[SourceGroup, list[int]] = {}
    for i in indexes:
        found.setdefault(groups[i], []).append(i)
    return found.items()
