"""What is known of each sidecar."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple


class NodeState(NamedTuple):
    """How asking a sidecar at ``tried_at`` ended; an empty ``fault`` means that it answered."""

    name: str
    address: str
    tried_at: float
    fault: str = ""
    head: str = ""
    edition: str = "{}"


def note_node(connection: sqlite3.Connection, state: NodeState) -> None:
    """Keep it; after a fault, what it said before stays."""
    if state.fault:
        connection.execute(
            "INSERT INTO nodes (name, address, tried_at, fault, answer_head)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
            " address = excluded.address, tried_at = excluded.tried_at, fault = excluded.fault,"
            " answer_head = excluded.answer_head",
            (state.name, state.address, state.tried_at, state.fault, state.head),
        )
        return
    connection.execute(
        "INSERT INTO nodes (name, address, answered_at, tried_at, edition, patterns)"
        " VALUES (:name, :address, :at, :at, :edition,"
        "  (SELECT count(*) FROM node_counts WHERE node = :name))"
        " ON CONFLICT (name) DO UPDATE SET address = excluded.address,"
        " answered_at = excluded.answered_at, tried_at = excluded.tried_at, fault = '',"
        " answer_head = '', edition = excluded.edition, patterns = excluded.patterns",
        {
            "name": state.name,
            "address": state.address,
            "at": state.tried_at,
            "edition": state.edition,
        },
    )


class Health(NamedTuple):
    """How many of the nodes answered, and how old the newest answer is (None: there is none)."""

    answering: int
    all: int
    newest: float | None

    def sign(self, now: float, stale_secs: float) -> str:
        """The shape that says it without colour."""
        if not self.all or self.newest is None:
            return "○"
        if now - self.newest > stale_secs:
            return "▲"
        return "●" if self.answering == self.all else "◐"


def health(connection: sqlite3.Connection) -> Health:
    """The state of all nodes together."""
    row = connection.execute(
        "SELECT count(*) AS known, sum(fault = '') AS answering, max(answered_at) AS newest"
        " FROM nodes"
    ).fetchone()
    return Health(row["answering"] or 0, row["known"], row["newest"])
