"""How many patterns each further choice of a filter would leave: the numbers on its chips.

All of them come from the predicate that makes the rows, without the part that the choice replaces.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from waybill.web.store.filters import Filter, State, gathered, predicate, state_parts


class Facets(NamedTuple):
    """Numbers by state, and by label; an undecided label is one of its own."""

    states: dict[State, int]
    labels: list[tuple[str, int]]


class Moved(NamedTuple):
    """How many patterns of a list are new, and how many have another label, since a moment."""

    new: int
    changed: int


def facets(
    connection: sqlite3.Connection, wanted: Filter, now: float, unsure_below: float
) -> Facets:
    """The numbers of a list's chips."""
    wanted = gathered(connection, wanted)
    where = predicate(wanted._replace(states=()), now, unsure_below)
    parts = state_parts(now, unsure_below)
    sums = []
    values: list[object] = []
    for part in parts.values():
        sums.append(f"coalesce(sum({part.sql}), 0)")
        values += part.values
    row = connection.execute(
        f"SELECT {', '.join(sums)} FROM patterns WHERE {where.sql}", (*values, *where.values)
    ).fetchone()
    rest = tuple(one for one in wanted.conditions if one.member != "label")
    where = predicate(wanted._replace(conditions=rest), now, unsure_below)
    labels = connection.execute(
        f"SELECT label, count(*) FROM patterns WHERE {where.sql} GROUP BY label", where.values
    )
    return Facets(dict(zip(parts, row, strict=True)), [(name, number) for name, number in labels])


def moved_since(
    connection: sqlite3.Connection, wanted: Filter, now: float, unsure_below: float, since: float
) -> Moved:
    """What came into a list, or changed in it, after ``since``."""
    wanted = gathered(connection, wanted)
    where = predicate(wanted._replace(until=None), now, unsure_below)
    row = connection.execute(
        "SELECT coalesce(sum(added_at > ?), 0), coalesce(sum(changed_at > ? AND added_at <= ?), 0)"
        f" FROM patterns WHERE {where.sql}",
        (since, since, since, *where.values),
    ).fetchone()
    return Moved(row[0], row[1])
