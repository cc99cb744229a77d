"""Changes of rules and corrections: what was before and after, who, when, why, how it travelled."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Literal, NamedTuple

#: The file that corrections travel as.
CORRECTIONS_FILE = "corrections.ndjson"
#: ``writing``: accepted, and on its way to where it is written. ``failed``: nothing was written.
ChangeState = Literal["writing", "written", "failed"]


class Change(NamedTuple):
    """One change of one file; ``before`` None: there was none; ``after`` None: it was removed.

    Of corrections ``after`` is what was added.
    """

    author: str
    what: str
    file: str
    before: str | None
    after: str | None
    note: str
    way: str
    at: float
    undoes: int | None = None
    version: str = ""
    state: ChangeState = "written"


def add_change(connection: sqlite3.Connection, change: Change) -> int:
    """Keep it; gives its number."""
    names = ", ".join(Change._fields)
    marks = ", ".join("?" * len(Change._fields))
    done = connection.execute(f"INSERT INTO changes ({names}) VALUES ({marks})", change)
    assert done.lastrowid is not None
    return done.lastrowid


def end_change(connection: sqlite3.Connection, number: int, fault: str = "") -> None:
    """It is written, or failed with ``fault``."""
    state: ChangeState = "failed" if fault else "written"
    connection.execute(
        "UPDATE changes SET state = ?, fault = ? WHERE number = ?", (state, fault, number)
    )


def note_version(connection: sqlite3.Connection, number: int, version: str) -> None:
    """What nodes say when a change of corrections is in force."""
    connection.execute("UPDATE changes SET version = ? WHERE number = ?", (version, number))


def note_complete(connection: sqlite3.Connection, number: int, at: float) -> None:
    """Every node has it, for the first time."""
    connection.execute("UPDATE changes SET complete_at = ? WHERE number = ?", (at, number))


def find_change(connection: sqlite3.Connection, number: int) -> sqlite3.Row | None:
    """The change of this number."""
    found: sqlite3.Row | None = connection.execute(
        "SELECT * FROM changes WHERE number = ?", (number,)
    ).fetchone()
    return found


def undone_by(connection: sqlite3.Connection, number: int) -> int | None:
    """The newest change that takes this one back and did not fail; None: it was not taken back."""
    (found,) = connection.execute(
        "SELECT max(number) FROM changes WHERE undoes = ? AND state != 'failed'", (number,)
    ).fetchone()
    return None if found is None else int(found)


def list_changes(
    connection: sqlite3.Connection, before: int | None = None, most: int = 100
) -> list[sqlite3.Row]:
    """The newest changes first, those with a number below ``before``."""
    return connection.execute(
        "SELECT * FROM changes WHERE number < ? ORDER BY number DESC LIMIT ?",
        (before if before is not None else 1 << 62, most),
    ).fetchall()


def newest_by_file(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    """The newest change of each file that was not failed: the one that nodes should have."""
    return connection.execute(
        "SELECT * FROM changes WHERE number IN"
        " (SELECT max(number) FROM changes WHERE state != 'failed' GROUP BY file)"
    ).fetchall()


def unfinished(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    """Changes that were being written when the process ended, oldest first."""
    return connection.execute(
        "SELECT * FROM changes WHERE state = 'writing' ORDER BY number"
    ).fetchall()


def stored_files(connection: sqlite3.Connection) -> dict[str, str]:
    """Name -> text of the rule files that sidecars fetch from here."""
    return {row["name"]: row["text"] for row in connection.execute("SELECT * FROM rule_files")}


def put_file(connection: sqlite3.Connection, name: str, text: str | None) -> None:
    """Exchange one of `stored_files`; None removes it."""
    if text is None:
        connection.execute("DELETE FROM rule_files WHERE name = ?", (name,))
    else:
        connection.execute("INSERT OR REPLACE INTO rule_files VALUES (?, ?)", (name, text))


def put_all_files(connection: sqlite3.Connection, files: Mapping[str, str]) -> None:
    """Have `stored_files` be these: a copy of what stands elsewhere."""
    connection.execute("DELETE FROM rule_files")
    connection.executemany("INSERT INTO rule_files VALUES (?, ?)", files.items())


def was_applied(connection: sqlite3.Connection) -> bool:
    """Whether rules were ever changed here; a store that was lost must not empty the sidecars."""
    (found,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM changes WHERE file != ?)", (CORRECTIONS_FILE,)
    ).fetchone()
    return bool(found)
