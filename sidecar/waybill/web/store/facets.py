"""How many patterns each further choice of a filter would leave: the numbers on its chips.

All of them come from the predicate that makes the rows, without the part that the choice replaces.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from waybill.web.store.filters import (
    Filter,
    State,
    asks_for_kind_alone,
    gathered,
    predicate,
    state_parts,
)
from waybill.web.store.queries import count_patterns

#: Parts of an empty list's filter that are tried without, one by one.
_MOST_WAYS = 6
#: How large a list is: its patterns, and their records of an hour and of a day.
_SIZE = "count(*), coalesce(sum(hour_rate), 0), coalesce(sum(day_count), 0)"


class Facets(NamedTuple):
    """Numbers by state, and by label; an undecided label is one of its own.

    ``matching`` patterns of ``total`` are in the list, with ``rate`` records an hour and ``day`` in
    the last 24.
    """

    states: dict[State, int]
    labels: list[tuple[str, int]]
    matching: int
    total: int
    rate: float
    day: int


class WayOut(NamedTuple):
    """What a list would show without one part of its filter."""

    part: str
    query: str
    matching: int


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
    *row, matching, rate, day = connection.execute(
        f"SELECT {', '.join(sums)}, {_SIZE} FROM patterns WHERE {where.sql}",
        (*values, *where.values),
    ).fetchone()
    if wanted.states:
        whole = predicate(wanted, now, unsure_below)
        matching, rate, day = connection.execute(
            f"SELECT {_SIZE} FROM patterns WHERE {whole.sql}", whole.values
        ).fetchone()
    rest = tuple(one for one in wanted.conditions if one.member != "label")
    where = predicate(wanted._replace(conditions=rest), now, unsure_below)
    # Without the sign, the index by label is gone through; whatever it does not hold is read apart.
    sign = "" if not rest and asks_for_kind_alone(wanted) else "+"
    labels = connection.execute(
        f"SELECT label, count(*) FROM patterns WHERE {where.sql} GROUP BY {sign}label", where.values
    )
    by_label = [(name, number) for name, number in labels]
    (total,) = connection.execute("SELECT count(*) FROM patterns").fetchone()
    return Facets(dict(zip(parts, row, strict=True)), by_label, matching, total, rate, day)


def ways_out(
    connection: sqlite3.Connection, wanted: Filter, now: float, unsure_below: float
) -> list[WayOut]:
    """For a list that shows nothing: what is left of its filter without each of its parts."""
    found = []
    for part, rest in list(_without_each(wanted))[:_MOST_WAYS]:
        where = predicate(gathered(connection, rest), now, unsure_below)
        found.append(WayOut(part, rest.query(), count_patterns(connection, where)))
    return found


def _without_each(wanted: Filter) -> Iterator[tuple[str, Filter]]:
    if wanted.text:
        yield f"the text “{wanted.text}”", wanted._replace(text="")
    for one in wanted.conditions:
        others = tuple(other for other in wanted.conditions if other != one)
        yield one.text, wanted._replace(conditions=others)
    for state in wanted.states:
        states = tuple(other for other in wanted.states if other != state)
        yield f"state {state}", wanted._replace(states=states)


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
