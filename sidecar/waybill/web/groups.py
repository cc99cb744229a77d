"""What a trial found, for people: a matrix, groups of patterns, what to look out for."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple, get_args

from waybill.core.names import DecidedBy
from waybill.learn.backtest.result import Backtest, Change, Unlisted
from waybill.web import numbers

#: More than this share of a day's records is very broad.
_BROAD = 0.2
#: Patterns of a group that are shown.
_MOST_ROWS = 50
#: What says a label where no rule does.
_TIERS = frozenset(get_args(DecidedBy))


class Group(NamedTuple):
    """Patterns that go from one label to another; ``mark`` is another one when they change."""

    key: str
    old: str
    new: str
    low: int
    high: int
    patterns: int
    sources: list[str]
    rows: list[Change]
    mark: str
    is_viewed: bool


class Rest(NamedTuple):
    """Patterns of a group that are counted and not listed."""

    patterns: int = 0
    low: int = 0
    high: int = 0


class Matrix(NamedTuple):
    """Records of a day by label before (rows) and after (columns)."""

    rows: list[str]
    columns: list[str]
    cells: Mapping[tuple[str, str], str]


def groups_of(found: Backtest, viewed: Mapping[str, str]) -> list[Group]:
    """The groups, those with most records first."""
    by_pair: defaultdict[tuple[str, str], list[Change]] = defaultdict(list)
    more = _sums(found.unlisted)
    for change in found.changes:
        old = change.old[0].label if change.old else ""
        new = change.new[0].label if change.new else ""
        by_pair[old, new].append(change)
    for pair in more:
        by_pair.setdefault(pair, [])
    groups: list[Group] = []
    for (old, new), rows in by_pair.items():
        groups.append(_group(old, new, rows, more.get((old, new), Rest()), viewed))
    groups.sort(key=lambda group: (-group.high, group.key))
    return groups


def _group(
    old: str, new: str, rows: Sequence[Change], rest: Rest, viewed: Mapping[str, str]
) -> Group:
    key = f"{old} → {new}"
    mark = _mark(rows, rest.patterns)
    sources: Counter[str] = Counter()
    for row in rows:
        sources.update(row.sources)
    return Group(
        key=key,
        old=old,
        new=new,
        low=rest.low + sum(row.low for row in rows),
        high=rest.high + sum(row.high for row in rows),
        patterns=rest.patterns + len(rows),
        sources=[name for name, _ in sources.most_common(5)],
        rows=list(rows[:_MOST_ROWS]),
        mark=mark,
        is_viewed=viewed.get(key) == mark,
    )


def matrix_of(found: Backtest, order: Sequence[str]) -> Matrix:
    """The matrix without its diagonal, labels in the order of the taxonomy."""
    cells = {}
    for flip in found.matrix:
        if flip.old != flip.new and flip.high:
            words = numbers.count(flip.high)
            if flip.low != flip.high:
                words = f"{numbers.count(flip.low)} to {words}"
            cells[flip.old, flip.new] = words
    old = {before for before, _ in cells}
    new = {after for _, after in cells}
    rows = [label for label in order if label in old]
    columns = [label for label in order if label in new]
    return Matrix(rows, columns, cells)


def warnings_of(found: Backtest) -> list[str]:
    """What to look at before it is applied."""
    told = []
    if not found.high:
        told.append(
            "Nothing stored changes: it matches no stored pattern, decides what is decided so "
            "already, or is in shadow mode."
        )
    if found.records and found.high > _BROAD * found.records:
        words = "changes" if found.low == found.high else "may change"
        told.append(f"Very broad: {numbers.share(found.high, found.records)} of a day {words}.")
    beaten: Counter[str] = Counter()
    for change in found.changes:
        for said in change.old:
            if said.by not in _TIERS:
                beaten[said.by] += change.high
    for rest in found.unlisted:
        if rest.old.by not in _TIERS:
            beaten[rest.old.by] += rest.high
    for by, records in beaten.most_common(5):
        told.append(f"It takes up to {numbers.count(records)} records a day from rule {by}.")
    return told


def _sums(unlisted: Sequence[Unlisted]) -> dict[tuple[str, str], Rest]:
    """By the labels before and after."""
    found: dict[tuple[str, str], Rest] = {}
    for one in unlisted:
        key = one.old.label, one.new.label
        known = found.get(key, Rest())
        found[key] = Rest(known.patterns + one.patterns, known.low + one.low, known.high + one.high)
    return found


def _mark(rows: Sequence[Change], more: int) -> str:
    """Another one when another pattern belongs to the group."""
    digest = hashlib.sha256(str(more).encode())
    for row in sorted(rows, key=lambda one: one.id):
        digest.update(row.id.encode())
    return digest.hexdigest()[:16]
