"""What nodes say goes into the store: counts become differences, differences become hours.

A node counts since its own start. What it counted before we asked for the first time is spread over
the time since then; after that only differences count, so that a restart of a node is a gap and
never a jump.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from waybill.core.pattern import Pattern, VerdictShare

HOUR = 3600
DAY = 24 * HOUR
#: Hours over which a first count is spread at most.
_SPREAD_HOURS = 24
#: Columns that say what is decided of a pattern, and by whom.
_DECIDES = ("label", "kind", "tier", "rule")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Pattern).decode


class NodeAnswer(msgspec.Struct, frozen=True):
    """What one node said: its name, when, its patterns that changed."""

    node: str
    at: float
    patterns: Sequence[Pattern]


def record_answer(connection: sqlite3.Connection, answer: NodeAnswer) -> int:
    """Merge what a node said; gives the number of records that were new in it."""
    known = _known_counts(connection, answer)
    total = 0
    by_label: defaultdict[tuple[str, str, int], int] = defaultdict(int)
    for pattern in answer.patterns:
        before = known.get(pattern.id)
        hours = _new_in_hours(pattern, before, answer.at)
        total += sum(hours.values())
        _put_pattern(connection, pattern, answer)
        _put_hours(connection, pattern, hours)
        for hour, count in hours.items():
            for share, part in _parted(pattern.verdicts, count):
                by_label[share.label, share.kind, hour] += part
    _put_counts(connection, answer)
    for (label, kind, hour), count in by_label.items():
        connection.execute(
            "INSERT INTO label_hours VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET count = count + excluded.count",
            (label, kind, hour, count),
        )
    refresh_rates(connection, [pattern.id for pattern in answer.patterns], answer.at)
    return total


def refresh_rates(connection: sqlite3.Connection, ids: Iterable[str] | None, now: float) -> None:
    """Bring rates up to date: of ``ids``, or of all patterns.

    ``hour_rate`` is of the last full hour, or of the running one while there is none before it;
    ``day_count`` of the last 24 hours, ``before_count`` of the 24 before.
    """
    hour = int(now // HOUR)
    statement = (
        "UPDATE patterns SET"
        " day_count = coalesce((SELECT sum(count) FROM hours"
        "  WHERE pattern = patterns.id AND hour > :day), 0),"
        " before_count = coalesce((SELECT sum(count) FROM hours"
        "  WHERE pattern = patterns.id AND hour > :before AND hour <= :day), 0),"
        " hour_rate = coalesce("
        "  (SELECT count FROM hours WHERE pattern = patterns.id AND hour = :last),"
        "  (SELECT count FROM hours WHERE pattern = patterns.id AND hour = :now"
        "    AND patterns.first_seen >= :began), 0)"
    )
    values = {
        "before": hour - 48,
        "day": hour - 24,
        "last": hour - 1,
        "now": hour,
        "began": (hour - 1) * HOUR,
    }
    if ids is None:
        connection.execute(statement, values)
        return
    for one in ids:
        connection.execute(f"{statement} WHERE id = :id", {**values, "id": one})


def forget(connection: sqlite3.Connection, keep_secs: float, most: int, now: float) -> int:
    """Remove what is older than ``keep_secs``, and the least frequent beyond ``most`` patterns.

    What a correction names stays. Gives the number of patterns that went.
    """
    connection.execute("DELETE FROM hours WHERE hour < ?", ((now - keep_secs) // HOUR,))
    connection.execute("DELETE FROM label_hours WHERE hour < ?", ((now - keep_secs) // HOUR,))
    kept = "SELECT pattern FROM corrections"
    gone = connection.execute(
        f"DELETE FROM patterns WHERE last_seen < ? AND id NOT IN ({kept})", (now - keep_secs,)
    ).rowcount
    (count,) = connection.execute("SELECT count(*) FROM patterns").fetchone()
    if count > most:
        gone += connection.execute(
            f"DELETE FROM patterns WHERE id IN (SELECT id FROM patterns WHERE id NOT IN ({kept})"
            " ORDER BY kind = 'undecided', day_count, last_seen LIMIT ?)",
            (count - most,),
        ).rowcount
    if gone:
        for table in ("sources", "node_counts", "hours", "label_changes"):
            connection.execute(
                f"DELETE FROM {table} WHERE pattern NOT IN (SELECT id FROM patterns)"
            )
    return gone


def _known_counts(
    connection: sqlite3.Connection, answer: NodeAnswer
) -> dict[str, tuple[int, float]]:
    rows = connection.execute(
        "SELECT pattern, count, since FROM node_counts WHERE node = ?", (answer.node,)
    )
    return {row["pattern"]: (row["count"], row["since"]) for row in rows}


def _put_counts(connection: sqlite3.Connection, answer: NodeAnswer) -> None:
    for one in answer.patterns:
        connection.execute(
            "INSERT OR REPLACE INTO node_counts VALUES (?, ?, ?, ?)",
            (answer.node, one.id, one.count, one.since),
        )


def _new_in_hours(pattern: Pattern, before: tuple[int, float] | None, now: float) -> dict[int, int]:
    """Records that were not counted before, by hour since 1970."""
    this_hour = int(now // HOUR)
    if before is not None and before[1] == pattern.since:
        new = pattern.count - before[0]
        return {this_hour: new} if new > 0 else {}
    first = max(int(max(pattern.since, pattern.first_seen) // HOUR), this_hour - _SPREAD_HOURS + 1)
    last = min(max(int(pattern.last_seen // HOUR), first), this_hour)
    span = last - min(first, last) + 1
    each, rest = divmod(pattern.count, span)
    spread: dict[int, int] = {}
    if each:
        spread = dict.fromkeys(range(last - span + 1, last + 1), each)
    if rest:
        spread[last] = spread.get(last, 0) + rest
    return spread


def _parted(verdicts: Sequence[VerdictShare], count: int) -> list[tuple[VerdictShare, int]]:
    """``count`` records shared out as the verdicts were; the first one takes what rounding left."""
    total = sum(share.count for share in verdicts)
    if not total:
        return []
    parts = []
    left = count
    for share in verdicts:
        part = count * share.count // total
        left -= part
        parts.append((share, part))
    first, part = parts[0]
    return [(first, part + left), *parts[1:]]


def _put_hours(connection: sqlite3.Connection, pattern: Pattern, hours: dict[int, int]) -> None:
    for hour, count in hours.items():
        connection.execute(
            "INSERT INTO hours VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET count = count + excluded.count",
            (pattern.id, hour, count),
        )


def _put_pattern(connection: sqlite3.Connection, pattern: Pattern, answer: NodeAnswer) -> None:
    """Keep the newest story; the first time that any node saw it stays."""
    row = connection.execute("SELECT * FROM patterns WHERE id = ?", (pattern.id,)).fetchone()
    values = _row_of(pattern)
    values |= {"added_at": answer.at, "changed_at": answer.at}
    if row is not None:
        values["first_seen"] = min(pattern.first_seen, row["first_seen"])
        if row["last_seen"] > pattern.last_seen:
            connection.execute(
                "UPDATE patterns SET first_seen = :first_seen WHERE id = :id", values
            )
            return
        values["added_at"] = row["added_at"]
        if all(row[name] == values[name] for name in _DECIDES):
            values["changed_at"] = row["changed_at"]
    if values["changed_at"] == answer.at:
        connection.execute(
            "INSERT INTO label_changes VALUES (:id, :changed_at, :node, :label, :kind, :tier,"
            " :rule)",
            {**values, "node": answer.node},
        )
    names = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    updates = ", ".join(f"{name} = excluded.{name}" for name in values if name != "id")
    connection.execute(
        f"INSERT INTO patterns ({names}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {updates}",
        values,
    )
    _put_sources(connection, pattern)


def _row_of(pattern: Pattern) -> dict[str, object]:
    """The columns of a pattern, by name."""
    row: dict[str, object] = {
        "id": pattern.id,
        "mask": pattern.mask,
        "label": pattern.label,
        "kind": _kind(pattern),
        "tier": "none",
        "rule": None,
        "confidence": None,
        "reason": None,
        "guess_label": None,
        "guess_score": None,
        "is_mixed": pattern.is_mixed,
        "is_sampled": pattern.sampled,
        "first_seen": pattern.first_seen,
        "last_seen": pattern.last_seen,
        "body": _encode(pattern).decode(),
    }
    if pattern.verdicts:
        top = pattern.verdicts[0]
        row |= {"tier": top.tier, "rule": top.rule}
        row |= {"confidence": top.confidence, "reason": top.reason}
    if pattern.guess is not None:
        row |= {"guess_label": pattern.guess.label, "guess_score": pattern.guess.score}
    return row


def _kind(pattern: Pattern) -> str:
    """Undecided as soon as some of it is: those records are what somebody must look at."""
    return "undecided" if pattern.is_undecided else pattern.kind


def _put_sources(connection: sqlite3.Connection, pattern: Pattern) -> None:
    for source, count in pattern.sources.items():
        connection.execute(
            "INSERT INTO sources VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET count = max(count, excluded.count)",
            (source, pattern.id, count),
        )


def pattern_of(row: sqlite3.Row) -> Pattern:
    """The pattern as its node told it last."""
    return _decode(row["body"])
