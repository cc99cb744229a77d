"""What pages ask of the store. Every function is given a connection and gives plain rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from waybill.core.correction import Correction, Settled, settle
from waybill.web.store.cursor import Key, cursor_after, order_by, rows_behind
from waybill.web.store.filters import SORT_COLUMNS, Filter, Predicate, gathered, predicate
from waybill.web.store.recording import HOUR

PAGE = 100
_decode_correction = msgspec.json.Decoder(Correction).decode
#: How far back records are shown by hour.
_HOURS = 24
#: Patterns among which those that read like a message are looked for.
_MOST_NEAR = 200
#: Undecided ones first, then by rate (a whole number below 2**53): one number to compare.
_WEIGHT = "((kind IN ('undecided', 'not_asked')) << 54) + cast(hour_rate AS INTEGER)"
#: The first pattern of each group that reads alike, among those that a predicate lets through, and
#: all that read like no other. The index has them by group; `max` takes its row along.
_FIRST_OF_EACH = (
    f"(SELECT {{1}}, max({_WEIGHT}) FROM patterns WHERE alike != '' AND {{0}} GROUP BY alike"
    " UNION ALL SELECT {1}, 0 FROM patterns WHERE alike = '' AND {0})"
)


class Page(NamedTuple):
    """Rows of one page of a list, and the cursor of the next one (empty: this is the last)."""

    rows: list[sqlite3.Row]
    after: str


def list_patterns(
    connection: sqlite3.Connection,
    wanted: Filter,
    now: float,
    unsure_below: float,
    after: str = "",
    most: int = PAGE,
) -> Page:
    """A page of the patterns that ``wanted`` lets through, undecided ones first."""
    wanted = gathered(connection, wanted)
    keys = _keys(wanted.sort)
    inner, values = _ids_in_order(wanted, keys, now, unsure_below, after)
    # Sorted by ids alone: rows are wide, and an index holds all that the inner one asks for.
    rows = connection.execute(
        f"SELECT *, {', '.join(f'{key.expression} AS {key.name}' for key in keys[:-1])}"
        f" FROM patterns WHERE id IN ({inner}) ORDER BY {order_by(keys)}",
        (*values, most + 1),
    ).fetchall()
    following = cursor_after(keys, rows[most - 1]) if len(rows) > most else ""
    return Page(rows[:most], following)


def list_ids(
    connection: sqlite3.Connection, wanted: Filter, now: float, unsure_below: float, most: int = -1
) -> list[str]:
    """The ids of the list in its order, the first ``most`` of them; -1: all."""
    wanted = gathered(connection, wanted)
    inner, values = _ids_in_order(wanted, _keys(wanted.sort), now, unsure_below)
    return [row["id"] for row in connection.execute(inner, (*values, most))]


def _ids_in_order(
    wanted: Filter, keys: Sequence[Key], now: float, unsure_below: float, after: str = ""
) -> tuple[str, tuple[object, ...]]:
    """The query for the ids of a list, and its values but for the last one: how many."""
    where = predicate(wanted, now, unsure_below)
    behind, bound = rows_behind(keys, after) if after else ("1", ())
    shown, values = f"patterns WHERE {where.sql} AND", where.values
    if is_one_of_each(wanted):
        columns = f"id, kind, {SORT_COLUMNS[wanted.sort.removeprefix('-')]}"
        shown = f"{_FIRST_OF_EACH.format(where.sql, columns)} WHERE"
        values = (*where.values, *where.values)
    inner = f"SELECT id FROM {shown} {behind} ORDER BY {order_by(keys)} LIMIT ?"
    return inner, (*values, *bound)


def _keys(sort: str) -> list[Key]:
    """The order that ``sort`` names; undecided ones first where it is by rate."""
    column = SORT_COLUMNS[sort.removeprefix("-")]
    if column == "confidence":
        column = "coalesce(confidence, -1)"
    keys = [Key(column, "sort_value", sort.startswith("-")), Key("id", "id", is_descending=False)]
    if sort == "-rate":
        keys.insert(0, Key("kind IN ('undecided', 'not_asked')", "is_open", is_descending=True))
    return keys


def is_one_of_each(wanted: Filter) -> bool:
    """Whether of patterns that read alike only the first is listed."""
    return wanted.is_grouped and all(one.member != "alike" for one in wanted.conditions)


def alike_counts(
    connection: sqlite3.Connection, where: Predicate, rows: Sequence[sqlite3.Row]
) -> dict[str, int]:
    """Pattern -> how many others of the list read like it."""
    groups = {row["alike"]: row["id"] for row in rows if row["alike"]}
    marks = ",".join("?" * len(groups))
    found = connection.execute(
        f"SELECT alike, count(*) AS number FROM patterns WHERE alike IN ({marks})"
        f" AND {where.sql} GROUP BY alike HAVING count(*) > 1",
        (*groups, *where.values),
    )
    return {groups[row["alike"]]: row["number"] - 1 for row in found}


def count_patterns(connection: sqlite3.Connection, where: Predicate) -> int:
    """How many patterns a predicate lets through."""
    (found,) = connection.execute(
        f"SELECT count(*) FROM patterns WHERE {where.sql}", where.values
    ).fetchone()
    return int(found)


def sum_of_days(connection: sqlite3.Connection, where: Predicate) -> int:
    """Records of a day of the patterns that a predicate lets through."""
    (found,) = connection.execute(
        f"SELECT coalesce(sum(day_count), 0) FROM patterns WHERE {where.sql}", where.values
    ).fetchone()
    return int(found)


def one_pattern(connection: sqlite3.Connection, pattern_id: str) -> sqlite3.Row | None:
    """The row of a pattern."""
    found: sqlite3.Row | None = connection.execute(
        "SELECT * FROM patterns WHERE id = ?", (pattern_id,)
    ).fetchone()
    return found


def patterns_with(connection: sqlite3.Connection, ids: Sequence[str]) -> list[sqlite3.Row]:
    """The rows of these patterns, in no order."""
    if not ids:
        return []
    marks = ",".join("?" * len(ids))
    return connection.execute(f"SELECT * FROM patterns WHERE id IN ({marks})", ids).fetchall()


def patterns_reading(
    connection: sqlite3.Connection, words: Sequence[str], most: int
) -> list[sqlite3.Row]:
    """Patterns that have most of these words, the most frequent of them first."""
    if not words:
        return []
    common = " + ".join(["(instr(folded, ?) > 0)"] * len(words))
    return connection.execute(
        "WITH near AS MATERIALIZED"
        f" (SELECT rowid AS number, {common} AS common FROM patterns WHERE common"
        "  ORDER BY common DESC LIMIT ?)"
        " SELECT patterns.* FROM near CROSS JOIN patterns ON patterns.rowid = near.number"
        " ORDER BY common DESC, hour_rate DESC, id LIMIT ?",
        (*(word.casefold() for word in words), _MOST_NEAR, most),
    ).fetchall()


def patterns_where(
    connection: sqlite3.Connection, where: Predicate, most: int
) -> list[sqlite3.Row]:
    """The rows that a predicate lets through, most frequent first."""
    order = "ORDER BY hour_rate DESC, id"
    return connection.execute(
        "SELECT * FROM patterns WHERE id IN"
        f" (SELECT id FROM patterns WHERE {where.sql} {order} LIMIT ?) {order}",
        (*where.values, most),
    ).fetchall()


def hours_of(
    connection: sqlite3.Connection, ids: Sequence[str], now: float
) -> dict[str, list[int]]:
    """Records of each pattern in the last 24 hours, by hour, the running hour last."""
    last = int(now // HOUR)
    found: dict[str, list[int]] = {}
    for one in ids:
        found[one] = [0] * _HOURS
    marks = ",".join("?" * len(ids))
    rows = connection.execute(
        f"SELECT pattern, hour, count FROM hours WHERE pattern IN ({marks}) AND hour > ?",
        (*ids, last - _HOURS),
    )
    for row in rows:
        position = row["hour"] - (last - _HOURS + 1)
        if 0 <= position < _HOURS:
            found[row["pattern"]][position] = row["count"]
    return found


def hours_of_label(connection: sqlite3.Connection, label: str, now: float) -> list[int]:
    """Records that got a label in the last 24 hours, by hour, the running hour last."""
    last = int(now // HOUR)
    found = [0] * _HOURS
    for row in connection.execute(
        "SELECT hour, sum(count) AS records FROM label_hours WHERE label = ? AND hour > ?"
        " AND hour <= ? GROUP BY hour",
        (label, last - _HOURS, last),
    ):
        found[row["hour"] - (last - _HOURS + 1)] = row["records"]
    return found


class LabelRow(NamedTuple):
    """A label's records in the last 24 hours and in the 24 before, and by hour."""

    label: str
    kind: str
    day: int
    day_before: int
    hours: list[int]


def first_hour(connection: sqlite3.Connection) -> float | None:
    """Since when there are counts, to the second within their first hour; None: there are none."""
    (hour,) = connection.execute("SELECT min(hour) FROM label_hours").fetchone()
    if hour is None:
        return None
    begin = float(hour) * HOUR
    (added,) = connection.execute(
        "SELECT min(added_at) FROM patterns WHERE added_at >= ? AND added_at < ?",
        (begin, begin + HOUR),
    ).fetchone()
    return begin if added is None else float(added)


def records_of_day(connection: sqlite3.Connection, now: float) -> int:
    """All records of the last 24 hours."""
    (found,) = connection.execute(
        "SELECT coalesce(sum(count), 0) FROM label_hours WHERE hour > ?", (int(now // HOUR) - 24,)
    ).fetchone()
    return int(found)


def label_rows(connection: sqlite3.Connection, now: float) -> list[LabelRow]:
    """Every label that records got in the last two days; undecided ones apart from the others."""
    last = int(now // HOUR)
    rows = connection.execute(
        "SELECT label, kind IN ('undecided', 'not_asked') AS is_open, hour, sum(count) AS count"
        " FROM label_hours WHERE hour > ? AND hour <= ? GROUP BY label, is_open, hour",
        (last - 48, last),
    )
    found: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        key = (row["label"], "undecided" if row["is_open"] else "decided")
        hours = found.setdefault(key, [0] * 48)
        hours[row["hour"] - (last - 47)] = row["count"]
    told = []
    for (label, kind), hours in found.items():
        before, day = hours[:24], hours[24:]
        told.append(LabelRow(label, kind, sum(day), sum(before), day))
    return told


#: Where names of a kind stand: their table, and the column.
_NAMES = {"source": ("source_sums", "source"), "node": ("nodes", "name")}


def names_like(
    connection: sqlite3.Connection, kind: Literal["source", "node"], text: str, most: int
) -> list[str]:
    """Names that have ``text`` in them, in any case of ASCII, in their order."""
    table, column = _NAMES[kind]
    pattern = "".join(f"\\{char}" if char in "%_\\" else char for char in text)
    rows = connection.execute(
        f"SELECT DISTINCT {column} AS name FROM {table} WHERE {column} LIKE ? ESCAPE '\\'"
        f" ORDER BY {column} LIMIT ?",
        (f"%{pattern}%", most),
    )
    return [row["name"] for row in rows]


def node_rows(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    """Every node, those that do not answer first."""
    return connection.execute(
        "SELECT * FROM nodes ORDER BY fault = '', answered_at, name"
    ).fetchall()


def history(connection: sqlite3.Connection) -> list[Correction]:
    """Every line ever said, oldest first."""
    rows = connection.execute("SELECT body FROM corrections ORDER BY number")
    return list(map(_correction, rows))


def history_of(connection: sqlite3.Connection, *pattern_ids: str) -> list[Correction]:
    """Every line ever said about these patterns, oldest first."""
    marks = ",".join("?" * len(pattern_ids))
    rows = connection.execute(
        f"SELECT body FROM corrections WHERE pattern IN ({marks}) ORDER BY number", pattern_ids
    )
    return list(map(_correction, rows))


def _correction(row: sqlite3.Row) -> Correction:
    return _decode_correction(row["body"])


def standing(connection: sqlite3.Connection, *pattern_ids: str) -> list[Settled]:
    """What stands for these patterns."""
    return settle(history_of(connection, *pattern_ids))
