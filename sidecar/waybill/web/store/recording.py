"""What nodes say goes into the store: counts become differences, differences become hours.

A node counts since its own start. What it counted before we asked for the first time is spread over
the time since then; after that only differences count, so that a restart of a node is a gap and
never a jump.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

from waybill.core.pattern import Pattern, VerdictShare

HOUR = 3600
DAY = 24 * HOUR
#: Hours over which a first count is spread at most.
_SPREAD_HOURS = 24
#: Columns that say what is decided of a pattern, and by whom.
_DECIDES = ("label", "kind", "tier", "rule")
#: Rows that one statement asks for.
_IDS_AT_ONCE = 1000
#: Columns of a pattern by name.
_Row: TypeAlias = dict[str, Any]
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Pattern).decode


class NodeAnswer(msgspec.Struct, frozen=True):
    """What one node said: its name, when, its patterns that changed."""

    node: str
    at: float
    patterns: Sequence[Pattern]


class _Update(NamedTuple):
    """A pattern with something new: the mark of its story, and what its node counted before."""

    pattern: Pattern
    mark: int
    before: tuple[int, float] | None


def record_answer(connection: sqlite3.Connection, answer: NodeAnswer) -> int:
    """Merge what a node said; gives the number of patterns that it said something new of.

    What it says again as it was costs a comparison: a node tells all of its patterns each time.
    """
    told = _news(connection, answer)
    spread: list[tuple[str, int, int]] = []
    by_label: defaultdict[tuple[str, str, int], int] = defaultdict(int)
    for one in told:
        hours = _new_in_hours(one.pattern, one.before, answer.at)
        for hour, count in hours.items():
            spread.append((one.pattern.id, hour, count))
            for share, part in _parted(one.pattern.verdicts, count):
                by_label[share.label, share.kind, hour] += part
    _put_patterns(connection, [one.pattern for one in told], answer)
    connection.executemany(
        "INSERT INTO hours VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET count = count + excluded.count",
        spread,
    )
    connection.executemany(
        "INSERT INTO label_hours VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET count = count + excluded.count",
        [(*key, count) for key, count in by_label.items()],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO node_counts VALUES (?, ?, ?, ?, ?)",
        [
            (answer.node, one.pattern.id, one.pattern.count, one.pattern.since, one.mark)
            for one in told
        ],
    )
    refresh_rates(connection, sorted({pattern for pattern, _, _ in spread}), answer.at)
    return len(told)


def refresh_rates(connection: sqlite3.Connection, ids: Iterable[str] | None, now: float) -> None:
    """Bring rates up to date: of ``ids``, or of all patterns.

    ``hour_rate`` is of the last full hour, or of the running one while there is none before it;
    ``day_count`` of the last 24 hours, ``before_count`` of the 24 before.
    """
    hour = int(now // HOUR)
    statement = (
        "UPDATE patterns SET (day_count, before_count, hour_rate) = (SELECT"
        " coalesce(sum(count) FILTER (WHERE hour > :day), 0),"
        " coalesce(sum(count) FILTER (WHERE hour <= :day), 0),"
        " coalesce(sum(count) FILTER (WHERE hour = :last),"
        "  sum(count) FILTER (WHERE hour = :now AND patterns.first_seen >= :began), 0)"
        " FROM hours WHERE pattern = patterns.id AND hour > :before)"
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
    connection.executemany(f"{statement} WHERE id = :id", [{**values, "id": one} for one in ids])


def forget(connection: sqlite3.Connection, before: float | None, most: int) -> int:
    """Remove what was last seen ``before`` (Unix seconds; None: nothing for its age), and the least
    frequent beyond ``most`` patterns.

    What a correction names stays. Gives the number of patterns that went.
    """
    kept = "SELECT pattern FROM corrections"
    gone = 0
    if before is not None:
        connection.execute("DELETE FROM hours WHERE hour < ?", (before // HOUR,))
        connection.execute("DELETE FROM label_hours WHERE hour < ?", (before // HOUR,))
        gone = connection.execute(
            f"DELETE FROM patterns WHERE last_seen < ? AND id NOT IN ({kept})", (before,)
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


def _news(connection: sqlite3.Connection, answer: NodeAnswer) -> list[_Update]:
    """The patterns that a node reports otherwise than the last time."""
    known = {}
    for ids in _parts([pattern.id for pattern in answer.patterns]):
        for row in connection.execute(
            "SELECT pattern, count, since, mark FROM node_counts WHERE node = ?"
            f" AND pattern IN ({_marks(ids)})",
            (answer.node, *ids),
        ):
            known[row["pattern"]] = tuple(row)[1:]
    found = []
    for pattern in answer.patterns:
        mark = zlib.crc32(_encode(pattern))
        before = known.get(pattern.id)
        if before is None:
            found.append(_Update(pattern, mark, None))
        elif before != (pattern.count, pattern.since, mark):
            found.append(_Update(pattern, mark, before[:2]))
    return found


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


def _put_patterns(
    connection: sqlite3.Connection, patterns: Sequence[Pattern], answer: NodeAnswer
) -> None:
    """Keep the newest story of each; the first time that any node saw it stays."""
    known = _known_rows(connection, [pattern.id for pattern in patterns])
    rows = []
    late = []
    for pattern in patterns:
        row = known.get(pattern.id)
        if row is not None and row["last_seen"] > pattern.last_seen:
            late.append((pattern.first_seen, pattern.id, pattern.first_seen))
            continue
        rows.append(_merged(_row_of(pattern), row, answer.at))
    if late:
        connection.executemany(
            "UPDATE patterns SET first_seen = ? WHERE id = ? AND first_seen > ?", late
        )
    if not rows:
        return
    names = ", ".join(rows[0])
    marks = ", ".join(f":{name}" for name in rows[0])
    updates = ", ".join(f"{name} = excluded.{name}" for name in rows[0] if name != "id")
    connection.executemany(
        f"INSERT INTO patterns ({names}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {updates}",
        rows,
    )
    connection.executemany(
        "INSERT INTO label_changes VALUES (:id, :changed_at, :node, :label, :kind, :tier, :rule)",
        [{**row, "node": answer.node} for row in rows if row["changed_at"] == answer.at],
    )
    _put_sources(connection, patterns)


def _known_rows(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, sqlite3.Row]:
    found = {}
    for some in _parts(ids):
        for row in connection.execute(
            "SELECT id, first_seen, last_seen, added_at, changed_at, label, kind, tier, rule"
            f" FROM patterns WHERE id IN ({_marks(some)})",
            some,
        ):
            found[row["id"]] = row
    return found


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """``ids``, as many at a time as one statement asks for."""
    for begin in range(0, len(ids), _IDS_AT_ONCE):
        yield ids[begin : begin + _IDS_AT_ONCE]


def _marks(ids: Sequence[str]) -> str:
    return ",".join("?" * len(ids))


def _merged(values: _Row, known: sqlite3.Row | None, now: float) -> _Row:
    """The new columns of a pattern; what is remembered of the known ones stays."""
    values |= {"added_at": now, "changed_at": now}
    if known is None:
        return values
    values["first_seen"] = min(values["first_seen"], known["first_seen"])
    values["added_at"] = known["added_at"]
    if all(known[name] == values[name] for name in _DECIDES):
        values["changed_at"] = known["changed_at"]
    return values


def _row_of(pattern: Pattern) -> _Row:
    """The columns of a pattern, by name."""
    row: _Row = {
        "id": pattern.id,
        "mask": pattern.mask,
        "folded": pattern.mask.casefold(),
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


def _put_sources(connection: sqlite3.Connection, patterns: Sequence[Pattern]) -> None:
    rows = []
    for pattern in patterns:
        rows += [(source, pattern.id, count) for source, count in pattern.sources.items()]
    connection.executemany(
        "INSERT INTO sources VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET count = excluded.count WHERE excluded.count > count",
        rows,
    )


def pattern_of(row: sqlite3.Row) -> Pattern:
    """The pattern as its node told it last."""
    return _decode(row["body"])
