"""The review queue: which patterns to look at, in which order, and what they weigh.

The order is rate times uncertainty: 1 where nobody decided, else 1 minus the confidence; new ones
count twice, those that were not asked come last. Of patterns that read alike one is asked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from operator import itemgetter
from typing import Literal, NamedTuple

from waybill.core.correction import settle
from waybill.core.pattern import pattern_id
from waybill.web.store.filters import STANDING, Filter, State, predicate
from waybill.web.store.queries import history, patterns_with
from waybill.web.store.recording import DAY

Queue = Literal["undecided", "unsure", "new", "second", "disagree"]
#: Names of queues with their words.
QUEUES: tuple[tuple[Queue, str], ...] = (
    ("undecided", "Undecided"),
    ("unsure", "Unsure"),
    ("new", "New"),
    ("second", "Second opinion"),
    ("disagree", "Contradicted"),
)
#: The rate times the uncertainty; its value is the moment before which nothing is new.
_WEIGHT = (
    "hour_rate * CASE WHEN kind = 'decided' THEN 1 - coalesce(confidence, 1)"
    " WHEN kind = 'not_asked' THEN 0.001 ELSE 1 END * CASE WHEN first_seen > ? THEN 2 ELSE 1 END"
)
#: Looked at for one page: what is answered next, and what the counts are of.
MOST = 1000
#: How long a sitting lasts, in seconds.
_SITTING = 43_200


class Asked(NamedTuple):
    """Who asks: what ``author`` answered is not asked again; ``started`` fixes the list."""

    author: str
    started: float
    now: float
    unsure_below: float


class Found(NamedTuple):
    """The queue: one row of each group of alike patterns, all of their records, and who waits."""

    rows: list[sqlite3.Row]
    records: int
    waiting: int


class Sitting(NamedTuple):
    """Answers of the last twelve hours, and seconds from one to the next (None: too few)."""

    answered: int
    pace: float | None


def read_queue(connection: sqlite3.Connection, name: Queue, asked: Asked) -> Found:
    """The queue ``name`` as it was when the sitting began."""
    if name in ("second", "disagree"):
        return _of_corrected(connection, name, asked)
    state: State = name if name in ("unsure", "new") else "undecided"
    where = predicate(Filter(states=(state,)), asked.now, asked.unsure_below)
    condition = f"{where.sql} AND kind != 'unreadable' AND id NOT IN ({STANDING})"
    order = f"ORDER BY {_WEIGHT} DESC, day_count DESC, id"
    rows = connection.execute(
        "SELECT * FROM patterns WHERE id IN"
        f" (SELECT id FROM patterns WHERE {condition} AND added_at <= ? {order} LIMIT ?) {order}",
        (*where.values, asked.started, asked.now - DAY, MOST, asked.now - DAY),
    ).fetchall()
    (waiting,) = connection.execute(
        f"SELECT count(*) FROM patterns WHERE {condition} AND added_at > ?",
        (*where.values, asked.started),
    ).fetchone()
    records = sum(row["day_count"] for row in rows)
    return Found(_one_of_each(rows), records, waiting)


def sitting(connection: sqlite3.Connection, author: str, now: float) -> Sitting:
    """What ``author`` answered in this sitting, and how fast."""
    row = connection.execute(
        "SELECT count(*) AS number, min(at) AS first, max(at) AS last FROM answers"
        " WHERE author = ? AND at > ?",
        (author, now - _SITTING),
    ).fetchone()
    if row["number"] < 3:
        return Sitting(row["number"], None)
    return Sitting(row["number"], (row["last"] - row["first"]) / (row["number"] - 1))


def _of_corrected(connection: sqlite3.Connection, name: Queue, asked: Asked) -> Found:
    """Patterns with two opinions, or whose correction is contradicted by rule or model."""
    said = {}
    for one in settle(history(connection)):
        said[pattern_id(one.correction.mask)] = one
    mine = _answered(connection, asked)
    rows = []
    for row in patterns_with(connection, list(said)[-MOST:]):
        one = said[row["id"]]
        contradicted = row["tier"] != "correction" and row["label"] != one.correction.label
        wanted = one.is_disputed if name == "second" else contradicted
        if wanted and row["id"] not in mine:
            rows.append(row)
    rows.sort(key=lambda row: (-row["day_count"], row["id"]))
    return Found(rows, sum(row["day_count"] for row in rows), 0)


def _answered(connection: sqlite3.Connection, asked: Asked) -> Collection[str]:
    rows = connection.execute(
        "SELECT pattern FROM answers WHERE author = ? AND at > ?",
        (asked.author, asked.now - _SITTING),
    )
    return set(map(itemgetter("pattern"), rows))


def _one_of_each(rows: list[sqlite3.Row]) -> list[sqlite3.Row]:
    """The first of each group of patterns that read alike."""
    kept = []
    groups = set()
    for row in rows:
        group = row["alike"] or row["id"]
        if group not in groups:
            groups.add(group)
            kept.append(row)
    return kept
