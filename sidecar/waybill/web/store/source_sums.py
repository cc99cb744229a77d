"""What each source says, summed when patterns come in, so that pages need not go through them all.

A pattern of several sources is shared out as its records were.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from waybill.web.store.cursor import Key, cursor_after, order_by, rows_behind
from waybill.web.store.recording import DAY

#: The order of sources: those with most undecided records first.
_ORDER = (
    Key("sum(records * is_open)", "undecided", is_descending=True),
    Key("sum(records)", "records", is_descending=True),
    Key("source", "source", is_descending=False),
)


class SourcePage(NamedTuple):
    """Rows of one page of sources, the cursor of the next (empty: this is the last), and all."""

    rows: list[sqlite3.Row]
    after: str
    total: int


def sum_sources(connection: sqlite3.Connection, now: float) -> None:
    """Bring the sums up to date: a pass over all patterns, once for many answers."""
    connection.execute("DELETE FROM source_sums")
    connection.execute(
        "WITH totals AS MATERIALIZED"
        "  (SELECT pattern, sum(count) AS total FROM sources GROUP BY pattern),"
        " parts AS (SELECT s.source, p.label, p.kind IN ('undecided', 'not_asked') AS is_open,"
        "  1.0 * s.count / max(t.total, 1) AS part, p.day_count, p.before_count, p.first_seen"
        "  FROM totals t CROSS JOIN patterns p ON p.id = t.pattern"
        "  CROSS JOIN sources s ON s.pattern = t.pattern)"
        " INSERT INTO source_sums SELECT source, label, is_open, sum(part * day_count),"
        "  sum(part * before_count), sum(first_seen > ?), count(*)"
        " FROM parts GROUP BY source, label, is_open",
        (now - DAY,),
    )


def source_rows(connection: sqlite3.Connection, most: int, after: str = "") -> SourcePage:
    """Sources with their records of a day, those with most undecided records first."""
    behind, bound = rows_behind(_ORDER, after) if after else ("1", ())
    rows = connection.execute(
        "SELECT source, sum(records) AS records, sum(records * is_open) AS undecided,"
        " sum(new) AS new, sum(patterns) AS patterns FROM source_sums GROUP BY source"
        f" HAVING {behind} ORDER BY {order_by(_ORDER)} LIMIT ?",
        (*bound, most + 1),
    ).fetchall()
    following = cursor_after(_ORDER, rows[most - 1]) if len(rows) > most else ""
    (total,) = connection.execute("SELECT count(DISTINCT source) FROM source_sums").fetchone()
    return SourcePage(rows[:most], following, total)


def labels_of_sources(
    connection: sqlite3.Connection, sources: Sequence[str]
) -> dict[str, list[sqlite3.Row]]:
    """Records of a day by label of each of these sources, the most frequent label first; those
    that nobody decided (``is_open``) apart.
    """
    marks = ",".join("?" * len(sources))
    found: dict[str, list[sqlite3.Row]] = {source: [] for source in sources}
    for row in connection.execute(
        "SELECT source, label, is_open, sum(records) AS records FROM source_sums"
        f" WHERE source IN ({marks}) GROUP BY source, label, is_open ORDER BY records DESC, label",
        sources,
    ):
        found[row["source"]].append(row)
    return found
