"""How records moved: the undecided share by hour with what is usual, and what differs from the day
before: patterns and sources that are more or fewer by far, new, or gone.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from waybill.web.store.recording import DAY, HOUR

#: What counts as moved: three times as many or a third, and a hundred records more or fewer.
_TIMES = 3
_LEAST = 100
_WEEK = 7
_DAY_HOURS = 24


class Hour(NamedTuple):
    """An hour (its begin in seconds since 1970): records, undecided ones, and what is usual.

    ``low`` and ``high`` are shares in percent of the same hour of the seven days before; None where
    there are no records to tell.
    """

    at: int
    records: int
    undecided: int
    low: float | None
    high: float | None

    @property
    def percent(self) -> float | None:
        """The undecided share; None without records."""
        return _percent(self.undecided, self.records)


class Mover(NamedTuple):
    """A pattern (or a source, without an id) and its records of this day and of the day before."""

    id: str
    words: str
    label: str
    kind: str
    day: int
    before: int


class Moves(NamedTuple):
    """What differs from the day before."""

    moved: list[Mover]
    new: list[Mover]
    gone: list[Mover]
    sources: list[Mover]


def undecided_hours(connection: sqlite3.Connection, now: float, hours: int) -> list[Hour]:
    """The last ``hours`` hours, the running one last."""
    last = int(now // HOUR)
    first = last - hours + 1
    rows = connection.execute(
        "SELECT hour, sum(count) AS records,"
        " sum(count * (kind IN ('undecided', 'not_asked'))) AS undecided"
        " FROM label_hours WHERE hour > ? AND hour <= ? GROUP BY hour",
        (first - _WEEK * _DAY_HOURS - 1, last),
    )
    known = {row["hour"]: (row["records"], row["undecided"]) for row in rows}
    found = []
    for hour in range(first, last + 1):
        records, undecided = known.get(hour, (0, 0))
        usual = []
        for day in range(1, _WEEK + 1):
            before = known.get(hour - day * _DAY_HOURS, (0, 0))
            share = _percent(before[1], before[0])
            if share is not None:
                usual.append(share)
        low, high = min(usual, default=None), max(usual, default=None)
        found.append(Hour(hour * HOUR, records, undecided, low, high))
    return found


def moves(connection: sqlite3.Connection, now: float, most: int) -> Moves:
    """What differs from the day before, the largest differences first."""
    far = (
        "abs(day_count - before_count) >= :least"
        " AND (day_count > :times * before_count OR before_count > :times * day_count)"
    )
    values = {"least": _LEAST, "times": _TIMES, "day": now - DAY, "most": most}
    moved = _movers(connection, f"{far} AND day_count > 0 AND before_count > 0", values)
    gone = _movers(connection, "day_count = 0 AND before_count >= :least", values)
    new = _movers(connection, "first_seen > :day AND before_count = 0 AND day_count > 0", values)
    return Moves(moved, new, gone, _moved_sources(connection, values))


def rate_hours(connection: sqlite3.Connection, pattern: str, now: float, hours: int) -> list[int]:
    """Records of a pattern by hour, the running one last."""
    last = int(now // HOUR)
    rows = connection.execute(
        "SELECT hour, count FROM hours WHERE pattern = ? AND hour > ? AND hour <= ?",
        (pattern, last - hours, last),
    )
    found = [0] * hours
    for row in rows:
        found[row["hour"] - (last - hours + 1)] = row["count"]
    return found


def _movers(
    connection: sqlite3.Connection, condition: str, values: dict[str, float]
) -> list[Mover]:
    # Wide rows are read of the few that are shown.
    order = "ORDER BY abs(day_count - before_count) DESC, id"
    rows = connection.execute(
        "SELECT id, mask, label, kind, day_count, before_count FROM patterns WHERE id IN"
        f" (SELECT id FROM patterns WHERE {condition} {order} LIMIT :most) {order}",
        values,
    )
    return list(map(Mover._make, rows))


def _moved_sources(connection: sqlite3.Connection, values: dict[str, float]) -> list[Mover]:
    """Sources by the same measure."""
    rows = connection.execute(
        "WITH found AS (SELECT source, cast(sum(records) AS INTEGER) AS day_count,"
        "  cast(sum(before) AS INTEGER) AS before_count FROM source_sums GROUP BY source)"
        " SELECT '' AS id, source, '' AS label, 'decided' AS kind, day_count, before_count"
        " FROM found WHERE abs(day_count - before_count) >= :least"
        " AND (day_count > :times * before_count OR before_count > :times * day_count)"
        " ORDER BY abs(day_count - before_count) DESC, source LIMIT :most",
        values,
    )
    return list(map(Mover._make, rows))


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 3) if whole else None
