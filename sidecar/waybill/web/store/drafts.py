"""Drafts of rule files: kept while somebody works on them, so that no restart loses them."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

#: Drafts that are kept; older ones go.
_MOST = 500


class Draft(NamedTuple):
    """A text that is not in force, and the edition of the own files that it began with."""

    author: str
    at: float
    file: str
    text: str
    base: str


class Known(NamedTuple):
    """The draft that a page shows: its number (0: none), and when it was saved as it is there."""

    number: int
    at: float


def save_draft(connection: sqlite3.Connection, known: Known, draft: Draft) -> int:
    """Keep it in place of ``known`` where its author owns that one and nobody has saved another
    text there since, else as a new one; gives its number.
    """
    done = connection.execute(
        "UPDATE drafts SET at = ?, file = ?, text = ?, base = ?"
        " WHERE number = ? AND author = ? AND (at = ? OR text = ?)",
        (
            *(draft.at, draft.file, draft.text, draft.base),
            *(known.number, draft.author, known.at, draft.text),
        ),
    )
    if done.rowcount:
        return known.number
    made = connection.execute(
        "INSERT INTO drafts (author, at, file, text, base) VALUES (?, ?, ?, ?, ?)", draft
    )
    assert made.lastrowid is not None
    connection.execute("DELETE FROM drafts WHERE number <= ?", (made.lastrowid - _MOST,))
    return made.lastrowid


def find_draft(connection: sqlite3.Connection, number: int) -> sqlite3.Row | None:
    """The draft of this number."""
    found: sqlite3.Row | None = connection.execute(
        "SELECT * FROM drafts WHERE number = ?", (number,)
    ).fetchone()
    return found


def list_drafts(connection: sqlite3.Connection, most: int = 20) -> list[sqlite3.Row]:
    """The newest first."""
    return connection.execute("SELECT * FROM drafts ORDER BY at DESC LIMIT ?", (most,)).fetchall()


def drop_draft(connection: sqlite3.Connection, number: int) -> None:
    """It is in force, or was thrown away."""
    connection.execute("DELETE FROM drafts WHERE number = ?", (number,))


def note_viewed(connection: sqlite3.Connection, number: int, viewed: str) -> None:
    """Keep which groups of its trial were looked at."""
    connection.execute("UPDATE drafts SET viewed = ? WHERE number = ?", (viewed, number))
