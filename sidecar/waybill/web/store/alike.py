"""Which stored patterns read alike: a group id for each, given when it comes and kept."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from waybill.patterns.alike import Alike

#: Patterns that get their group in one transaction; 0.1 ms each.
_MOST_AT_ONCE = 2000
#: Patterns that are shown beside one that reads like them.
_MOST_OTHERS = 50


class Group(NamedTuple):
    """The other patterns of a group: how many, their records of a day, and themselves."""

    records: int
    rows: list[sqlite3.Row]


class Groups:
    """Gives groups to patterns that have none; only the thread that writes may ask it."""

    def __init__(self) -> None:
        self._alike: Alike | None = None

    def renew(self, connection: sqlite3.Connection) -> int:
        """Group what is new, the most frequent first; gives how many there were."""
        if self._alike is None:
            self._alike = _known(connection)
        rows = connection.execute(
            "SELECT id, mask FROM patterns WHERE alike = '' ORDER BY day_count DESC, id LIMIT ?",
            (_MOST_AT_ONCE,),
        ).fetchall()
        for row in rows:
            group = self._alike.add(row["mask"])
            connection.execute("UPDATE patterns SET alike = ? WHERE id = ?", (group, row["id"]))
        return len(rows)


def others_of(connection: sqlite3.Connection, row: sqlite3.Row) -> Group:
    """The patterns that read like the one of ``row``, most frequent first."""
    if not row["alike"]:
        return Group(0, [])
    rows = connection.execute(
        "SELECT * FROM patterns WHERE alike = ? AND id != ? ORDER BY day_count DESC, id LIMIT ?",
        (row["alike"], row["id"], _MOST_OTHERS),
    ).fetchall()
    return Group(sum(one["day_count"] for one in rows), rows)


def _known(connection: sqlite3.Connection) -> Alike:
    alike = Alike()
    for row in connection.execute("SELECT mask, alike FROM patterns WHERE alike != ''"):
        alike.add(row["mask"], row["alike"])
    return alike
