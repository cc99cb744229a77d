"""Recompiles only rules that are new: the database of the others is used again.

Hyperscan looks for each pattern by itself, so two databases find together what one of all patterns
finds. Scanning twice costs time that records do not have: it is for drafts, which are compiled
again with every few keys, not for what sidecars serve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import hyperscan

from waybill.labelling.rules.artefact import Artefact, Known

#: What Hyperscan calls for each match: id, from, to, flags, and what the caller gave.
Note = Callable[[int, int, int, int, object], bool | None]


class Places(NamedTuple):
    """For each expression that is known the index of its rule, or -1; and the rules left over."""

    known_rules: tuple[int, ...]
    left: tuple[int, ...]


def find_known(known: Known | None, expressions: Sequence[str]) -> Places:
    """Which of the rules' ``expressions`` are known; each place is given to one rule.

    None, where less than half of them would be: a database of other rules costs each scan.
    """
    nothing = Places((), tuple(range(len(expressions))))
    if known is None:
        return nothing
    free: dict[str, list[int]] = {}
    for place, expression in enumerate(known.expressions):
        if expression:
            free.setdefault(expression, []).append(place)
    found = [-1] * len(known.expressions)
    left: list[int] = []
    for index, expression in enumerate(expressions):
        places = free.get(expression)
        if places:
            found[places.pop()] = index
        else:
            left.append(index)
    return Places(tuple(found), tuple(left)) if 2 * len(left) <= len(expressions) else nothing


class Scanner:
    """The databases of an artefact; ``scan`` is called as that of one database is."""

    def __init__(self, artefact: Artefact, beside: Scanner | None = None) -> None:
        """Read the databases back. One without patterns is left out.

        ``beside``: the scanner of the database that stood already, so that it need not be read.
        """
        self._known_rules = artefact.known_rules
        #: The database that the artefact brings itself.
        self.own = _loaded(artefact.database)
        if beside is None or not artefact.known_database:
            self._known = _loaded(artefact.known_database)
        else:
            self._known = beside.own

    @property
    def scan(self) -> Callable[..., object] | None:
        """What a rule set scans with; None where there is nothing to find."""
        if self._known is not None:
            return self._scan_both
        return self.own.scan if self.own is not None else None

    def scratch(self) -> object:
        """Scratch space for `scan`: a thing of one thread."""
        if self._known is not None:
            return (_scratch(self._known), _scratch(self.own))
        return _scratch(self.own)

    def _scan_both(
        self,
        data: bytes,
        note: Note,
        flags: int,
        found: list[int],
        scratch: tuple[hyperscan.Scratch | None, hyperscan.Scratch | None],
    ) -> None:
        if self._known is not None:
            places: list[int] = []
            self._known.scan(data, note, flags, places, scratch[0])
            found += [self._known_rules[place] for place in places if self._known_rules[place] >= 0]
        if self.own is not None:
            self.own.scan(data, note, flags, found, scratch[1])


def _loaded(dump: bytes) -> hyperscan.Database | None:
    return hyperscan.loadb(dump, mode=hyperscan.HS_MODE_BLOCK) if dump else None


def _scratch(database: hyperscan.Database | None) -> hyperscan.Scratch | None:
    return hyperscan.Scratch(database) if database is not None else None
