"""Corrections in the store: appended, never changed."""

from __future__ import annotations

import sqlite3

import msgspec

from waybill.core.correction import Correction, encode_correction, settle
from waybill.core.pattern import pattern_id
from waybill.labelling.corrections.table import sum_of

_decode = msgspec.json.Decoder(Correction).decode


def add_correction(connection: sqlite3.Connection, correction: Correction) -> bool:
    """Append it; False when it is there already."""
    pattern = pattern_id(correction.mask)
    done = connection.execute(
        "INSERT OR IGNORE INTO corrections (id, pattern, at, number, body) VALUES (?, ?, ?,"
        " (SELECT coalesce(max(number), 0) + 1 FROM corrections), ?)",
        (
            correction.id,
            pattern,
            correction.at,
            encode_correction(correction).decode(),
        ),
    )
    _note_standing(connection, pattern)
    return done.rowcount == 1


def _note_standing(connection: sqlite3.Connection, pattern: str) -> None:
    """Keep in `standing` whether anything stands for ``pattern``: lists ask that of every row."""
    rows = connection.execute("SELECT body FROM corrections WHERE pattern = ?", (pattern,))
    if settle([_decode(row["body"]) for row in rows]):
        connection.execute("INSERT OR IGNORE INTO standing VALUES (?)", (pattern,))
    else:
        connection.execute("DELETE FROM standing WHERE pattern = ?", (pattern,))


def find_correction(connection: sqlite3.Connection, correction_id: str) -> Correction | None:
    """The correction with this id."""
    row = connection.execute(
        "SELECT body FROM corrections WHERE id = ?", (correction_id,)
    ).fetchone()
    return _decode(row["body"]) if row else None


def export(connection: sqlite3.Connection) -> bytes:
    """The whole history as NDJSON, oldest first."""
    rows = connection.execute("SELECT body FROM corrections ORDER BY number")
    return "".join(row["body"] for row in rows).encode()


def export_applied(connection: sqlite3.Connection) -> bytes:
    """The lines that a change has brought on their way, as NDJSON: what sidecars read."""
    rows = connection.execute(
        "SELECT body FROM corrections WHERE change IS NOT NULL ORDER BY number"
    )
    return "".join(row["body"] for row in rows).encode()


def count_waiting(connection: sqlite3.Connection) -> int:
    """Lines that were said and are in no change yet."""
    (found,) = connection.execute(
        "SELECT count(*) FROM corrections WHERE change IS NULL"
    ).fetchone()
    return int(found)


def waiting_ids(connection: sqlite3.Connection) -> set[str]:
    """The lines that are in no change yet."""
    rows = connection.execute("SELECT id FROM corrections WHERE change IS NULL")
    return {row["id"] for row in rows}


def apply_waiting(connection: sqlite3.Connection, change: int) -> None:
    """Make every line that waits a part of ``change``."""
    connection.execute("UPDATE corrections SET change = ? WHERE change IS NULL", (change,))


def applied_version(connection: sqlite3.Connection) -> str:
    """The version of the history that sidecars read; see `history_version`."""
    rows = connection.execute("SELECT id FROM corrections WHERE change IS NOT NULL")
    return sum_of(row["id"] for row in rows)


def lines_of_change(connection: sqlite3.Connection, change: int) -> list[Correction]:
    """What a change brought, oldest first."""
    rows = connection.execute(
        "SELECT body FROM corrections WHERE change = ? ORDER BY number", (change,)
    )
    return [_decode(row["body"]) for row in rows]


def changes_with(connection: sqlite3.Connection, pattern: str) -> dict[str, int | None]:
    """Of each line about a pattern the change that brought it on its way; None: it waits."""
    rows = connection.execute("SELECT id, change FROM corrections WHERE pattern = ?", (pattern,))
    return {row["id"]: row["change"] for row in rows}


def waiting_text(connection: sqlite3.Connection) -> str:
    """The lines that wait, as NDJSON."""
    rows = connection.execute("SELECT body FROM corrections WHERE change IS NULL ORDER BY number")
    return "".join(row["body"] for row in rows)


def add_answer(
    connection: sqlite3.Connection,
    author: str,
    pattern: str,
    correction: str,
    at: float,
    batch: str,
) -> None:
    """Note an answer, so that it can be taken back in its turn with all of its ``batch``."""
    connection.execute(
        "INSERT INTO answers (author, pattern, correction, at, batch) VALUES (?, ?, ?, ?, ?)",
        (author, pattern, correction, at, batch),
    )


def last_batch(connection: sqlite3.Connection, author: str) -> list[sqlite3.Row]:
    """The newest answers of ``author`` that were given in one go and not taken back."""
    row = connection.execute(
        "SELECT * FROM answers WHERE author = ? ORDER BY number DESC LIMIT 1", (author,)
    ).fetchone()
    if row is None:
        return []
    if not row["batch"]:
        return [row]
    return connection.execute("SELECT * FROM answers WHERE batch = ?", (row["batch"],)).fetchall()


def drop_answer(connection: sqlite3.Connection, number: int) -> None:
    """It was taken back."""
    connection.execute("DELETE FROM answers WHERE number = ?", (number,))
