"""Sources that are alike: same route, same rules in scope, and so one memo of exact messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from waybill.core.records import Verdict
from waybill.labelling.masking import shape
from waybill.labelling.memo import BoundedMap
from waybill.labelling.rules.ruleset import RuleSet
from waybill.labelling.slow_path import SlowPath

#: Sources remembered at most; beyond it the table starts anew.
MAX_SOURCES = 10_000
#: Groups at most (overlapping globs make one for each combination); beyond it all start anew.
MAX_GROUPS = 256
#: What routes and rules see of a source: no name of a machine, a pod or a service is longer, and
#: whoever writes records must not choose how much is remembered.
MAX_SOURCE_CHARS = 256
#: Stands in for a verdict that only a slow tier can give; it never leaves the pipeline.
UNDECIDED = Verdict("", "none", reason="undecided")


class Decided(msgspec.Struct, gc=False):
    """Verdicts in order, and how many of them came from rules and from the memo of shapes."""

    verdicts: list[Verdict]
    by_rules: int = 0
    by_shape: int = 0

    def joined(self, other: Decided) -> Decided:
        """Both, one behind the other."""
        return Decided(
            self.verdicts + other.verdicts,
            self.by_rules + other.by_rules,
            self.by_shape + other.by_shape,
        )


class SourceGroup:
    """Decides what needs no waiting, for the sources of one group."""

    __slots__ = ("allowed", "exact", "known", "path", "rules")

    def __init__(
        self, rules: RuleSet, path: SlowPath, allowed: frozenset[int] | None, memo_bytes: int
    ) -> None:
        self.rules = rules
        self.path = path
        #: Indexes of the rules in scope; None for all.
        self.allowed = allowed
        self.exact: BoundedMap[Verdict] = BoundedMap(memo_bytes)
        #: The exact memo's young generation, for the hot loop.
        self.known: Callable[[str], Verdict | None] = self.exact.recent.get

    def decide(self, texts: Sequence[str]) -> Decided:
        """Verdicts by rules, else by shape, else `UNDECIDED`; the exact memo is the caller's.

        ``texts`` are prepared messages (`waybill.core.prepare`).
        """
        route = self.path.route
        if route.has_rules:
            rules = self.rules.first_matches(texts, self.allowed)
        else:
            rules = [None] * len(texts)
        verdicts: list[Verdict] = []
        if not route.tiers:
            fallback = route.fallback
            verdicts = [rule.verdict if rule is not None else fallback for rule in rules]
            return Decided(verdicts, len(rules) - rules.count(None))
        memo = self.path.memo.shapes
        known = memo.recent.get
        lookup = memo.get
        for text, rule in zip(texts, rules, strict=True):
            if rule is not None:
                verdicts.append(rule.verdict)
            else:
                key = shape(text)
                verdicts.append(known(key) or lookup(key) or UNDECIDED)
        without_rule = rules.count(None)
        return Decided(
            verdicts, len(rules) - without_rule, without_rule - verdicts.count(UNDECIDED)
        )


class SourceGroups(dict[str, SourceGroup]):
    """Source -> group, filled as sources appear.

    It does not know its edition: with a cycle, an edition that a reload replaced would keep its
    memo until the collector's next full pass, which on a settled service is an hour away.
    """

    def __init__(self, rules: RuleSet, paths: Sequence[SlowPath], memo_bytes: int) -> None:
        super().__init__()
        self._rules = rules
        self._paths = paths
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
        return group

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
        return SourceGroup(self._rules, path, allowed, share)
