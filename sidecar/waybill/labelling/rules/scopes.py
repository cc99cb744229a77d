"""Finds the rules in scope for a source without asking each rule for each source.

A node that starts brings thousands of sources at once, and each of hundreds of rules may have its
``where``. So every distinct glob is compiled once and looked up by its fixed beginning or end;
what is left to try one by one are globs such as ``*-db-*``.
"""

from __future__ import annotations

import fnmatch
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

__all__ = ["GlobIndex", "RuleScopes"]

_WILD = re.compile(r"[*?\[]")
#: Combinations of globs whose rules are remembered; beyond it the table starts anew.
_MAX_COMBINATIONS = 1024


class GlobIndex:
    """Distinct `fnmatch` globs, case-sensitive; finds those that a name fits.

    >>> sorted(GlobIndex(["crm-*", "*", "*-db"]).fitting("crm-db"))
    [0, 1, 2]
    """

    def __init__(self, globs: Sequence[str]) -> None:
        self._everything: list[int] = []
        self._exact: dict[str, list[int]] = {}
        self._prefixes: dict[str, list[int]] = {}
        self._suffixes: dict[str, list[int]] = {}
        self._others: list[int] = []
        self._matches = [re.compile(fnmatch.translate(glob)).match for glob in globs]
        for index, glob in enumerate(globs):
            self._file(index, glob)
        self._prefix_sizes = sorted({len(prefix) for prefix in self._prefixes})
        self._suffix_sizes = sorted({len(suffix) for suffix in self._suffixes})

    def _file(self, index: int, glob: str) -> None:
        """Put one glob where its fixed part leads to it."""
        wild = _WILD.search(glob)
        if wild is None:
            self._exact.setdefault(glob, []).append(index)
            return
        prefix = glob[: wild.start()]
        suffix = glob[_last_wild(glob) + 1 :]
        if glob == "*":
            self._everything.append(index)
        elif prefix:
            self._prefixes.setdefault(prefix, []).append(index)
        elif suffix and "[" not in glob:
            self._suffixes.setdefault(suffix, []).append(index)
        else:
            self._others.append(index)

    def fitting(self, name: str) -> frozenset[int]:
        """The indexes of the globs that ``name`` fits."""
        found = [index for index in self._candidates(name) if self._matches[index](name)]
        return frozenset((*self._everything, *self._exact.get(name, ()), *found))

    def _candidates(self, name: str) -> Iterator[int]:
        size = len(name)
        for length in self._prefix_sizes:
            if length > size:
                break
            yield from self._prefixes.get(name[:length], ())
        for length in self._suffix_sizes:
            if length > size:
                break
            yield from self._suffixes.get(name[size - length :], ())
        yield from self._others


def _last_wild(glob: str) -> int:
    return max(glob.rfind("*"), glob.rfind("?"), glob.rfind("["))


class RuleScopes:
    """The rules in question for each source; ``scopes`` are the globs of each rule, None for all.

    ``labels`` are the rules' labels, in the same order.
    """

    def __init__(self, scopes: Sequence[Sequence[str] | None], labels: Sequence[str]) -> None:
        self._labels = labels
        self._unbound: list[int] = []
        by_glob: defaultdict[str, list[int]] = defaultdict(list)
        for index, scope in enumerate(scopes):
            if scope is None:
                self._unbound.append(index)
                continue
            for glob in scope:
                by_glob[glob].append(index)
        self._rules_of = list(by_glob.values())
        self._globs = GlobIndex(list(by_glob))
        self._known: dict[tuple[frozenset[int], frozenset[str] | None], frozenset[int] | None] = {}

    def allowed_for(self, source: str, labels: Collection[str] | None) -> frozenset[int] | None:
        """The indexes of the rules that ``source`` and a route's ``labels`` leave in question.

        None for ``labels`` means all labels; None as the answer means all rules.
        """
        globs = self._globs.fitting(source)
        only = frozenset(labels) if labels is not None else None
        key = (globs, only)
        if key not in self._known:
            if len(self._known) >= _MAX_COMBINATIONS:
                self._known.clear()
            self._known[key] = self._rules_for(globs, only)
        return self._known[key]

    def _rules_for(
        self, globs: frozenset[int], labels: frozenset[str] | None
    ) -> frozenset[int] | None:
        indexes = set(self._unbound)
        for glob in globs:
            indexes.update(self._rules_of[glob])
        if labels is not None:
            indexes = {index for index in indexes if self._labels[index] in labels}
        if len(indexes) == len(self._labels):
            return None
        return frozenset(indexes)
