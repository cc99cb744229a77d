"""What happened to a pattern, newest first: when it came, which labels it got, what people said."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from waybill.core.correction import Correction, moment
from waybill.web.store.queries import history_of

#: Label changes that are told; a pattern that two editions disagree on has very many.
_MOST = 100


class Event(NamedTuple):
    """One thing that happened; ``label`` is empty where it is about none."""

    at: float
    words: str
    label: str
    kind: str
    who: str
    note: str = ""


def events_of(connection: sqlite3.Connection, row: sqlite3.Row) -> list[Event]:
    """The story of the pattern of ``row``."""
    found = [Event(row["first_seen"], "first seen", "", "", "")]
    for one in connection.execute(
        "SELECT * FROM label_changes WHERE pattern = ? ORDER BY at DESC LIMIT ?", (row["id"], _MOST)
    ):
        who = f"{one['tier']} {one['rule'] or ''}".strip()
        words = f"labelled by {who}" if one["kind"] == "decided" else "nobody decided"
        found.append(Event(one["at"], words, one["label"], one["kind"], f"told by {one['node']}"))
    found += map(_event_of, history_of(connection, row["id"]))
    found.sort(key=lambda event: -event.at)
    return found


def _event_of(line: Correction) -> Event:
    words = "corrected" if line.withdraws is None else "correction taken back"
    return Event(moment(line.at).timestamp(), words, line.label, "decided", line.by, line.note)
