"""Changes of rule files: what was there before and after, who, when, why, and how it travelled."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple


class Change(NamedTuple):
    """One change of one file; ``before`` None: there was none; ``after`` None: it was removed."""

    author: str
    what: str
    file: str
    before: str | None
    after: str | None
    note: str
    way: str
    at: float
    undoes: int | None = None


def add_change(connection: sqlite3.Connection, change: Change) -> int:
    """Keep it; gives its number."""
    done = connection.execute(
        "INSERT INTO changes (author, what, file, before, after, note, way, at, undoes)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        change,
    )
    assert done.lastrowid is not None
    return done.lastrowid


def find_change(connection: sqlite3.Connection, number: int) -> sqlite3.Row | None:
    """The change of this number."""
    found: sqlite3.Row | None = connection.execute(
        "SELECT * FROM changes WHERE number = ?", (number,)
    ).fetchone()
    return found


def list_changes(connection: sqlite3.Connection, most: int = 200) -> list[sqlite3.Row]:
    """The newest changes first."""
    return connection.execute(
        "SELECT * FROM changes ORDER BY number DESC LIMIT ?", (most,)
    ).fetchall()


def hits_by_rule(connection: sqlite3.Connection) -> dict[str, tuple[int, float]]:
    """Records of a day, and the last moment, of each rule that decided a stored pattern."""
    rows = connection.execute(
        "SELECT rule, sum(day_count) AS records, max(last_seen) AS seen FROM patterns"
        " WHERE tier = 'rule' AND rule IS NOT NULL GROUP BY rule"
    )
    return {row["rule"]: (row["records"], row["seen"]) for row in rows}
