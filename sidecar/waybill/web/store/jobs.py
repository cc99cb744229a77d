"""Jobs of the CSV page in the store."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple


class JobRow(NamedTuple):
    """A job: who sent what file when (Unix seconds), its state, and all of it as JSON."""

    id: str
    at: float
    author: str
    name: str
    state: str
    body: bytes


def save_job(connection: sqlite3.Connection, row: JobRow) -> None:
    """Keep it in the place of what was kept before."""
    connection.execute(
        "INSERT OR REPLACE INTO jobs (id, at, author, name, state, body) VALUES (?, ?, ?, ?, ?, ?)",
        (row.id, row.at, row.author, row.name, row.state, row.body.decode()),
    )


def load_job(connection: sqlite3.Connection, job_id: str) -> JobRow | None:
    """The job of this id."""
    row = connection.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
    return _row(row) if row is not None else None


def list_jobs(connection: sqlite3.Connection, most: int) -> list[JobRow]:
    """The newest jobs."""
    rows = connection.execute("SELECT * FROM jobs ORDER BY at DESC LIMIT ?", (most,))
    return [_row(row) for row in rows]


class Kept(NamedTuple):
    """How many jobs there are, and when the oldest came (Unix seconds)."""

    number: int
    oldest: float


def count_jobs(connection: sqlite3.Connection) -> Kept:
    """All jobs."""
    number, oldest = connection.execute("SELECT count(*), min(at) FROM jobs").fetchone()
    return Kept(number, oldest or 0.0)


def drop_job(connection: sqlite3.Connection, job_id: str) -> None:
    """Remove one."""
    connection.execute("DELETE FROM jobs WHERE id = ?", (job_id,))


def drop_jobs(connection: sqlite3.Connection, before: float) -> list[str]:
    """Remove the jobs that are older; gives their ids."""
    rows = connection.execute("SELECT id FROM jobs WHERE at < ?", (before,)).fetchall()
    connection.execute("DELETE FROM jobs WHERE at < ?", (before,))
    return [row["id"] for row in rows]


def _row(row: sqlite3.Row) -> JobRow:
    return JobRow(
        row["id"], row["at"], row["author"], row["name"], row["state"], row["body"].encode()
    )
