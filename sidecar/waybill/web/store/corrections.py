"""Corrections in the store: appended, never changed."""

from __future__ import annotations

import sqlite3

import msgspec

from waybill.core.correction import Correction, encode_correction
from waybill.core.pattern import pattern_id

_decode = msgspec.json.Decoder(Correction).decode


def add_correction(connection: sqlite3.Connection, correction: Correction) -> bool:
    """Append it; False when it is there already."""
    done = connection.execute(
        "INSERT OR IGNORE INTO corrections VALUES (?, ?, ?,"
        " (SELECT coalesce(max(number), 0) + 1 FROM corrections), ?)",
        (
            correction.id,
            pattern_id(correction.mask),
            correction.at,
            encode_correction(correction).decode(),
        ),
    )
    return done.rowcount == 1


def find_correction(connection: sqlite3.Connection, correction_id: str) -> Correction | None:
    """The correction with this id."""
    row = connection.execute(
        "SELECT body FROM corrections WHERE id = ?", (correction_id,)
    ).fetchone()
    return _decode(row["body"]) if row else None


def export(connection: sqlite3.Connection) -> bytes:
    """The whole history as NDJSON, oldest first: what sidecars read."""
    rows = connection.execute("SELECT body FROM corrections ORDER BY number")
    return "".join(row["body"] for row in rows).encode()


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
