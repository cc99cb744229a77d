"""A verdict store in one SQLite file, worked on by one thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from waybill.core.clock import EPOCH, MONOTONIC, Clock, Steadiness
from waybill.core.turns import in_parts
from waybill.labelling.llm.errors import StoreError
from waybill.labelling.llm.store import Judgement, Usage
from waybill.settings.environment import state_folder

log = logging.getLogger(__name__)
T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS verdicts (
    key TEXT PRIMARY KEY, text TEXT NOT NULL, label TEXT NOT NULL, labels TEXT NOT NULL,
    sources TEXT NOT NULL, version TEXT NOT NULL, judged_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS verdicts_by_age ON verdicts (judged_at);
CREATE TABLE IF NOT EXISTS usage (
    day INTEGER PRIMARY KEY, tokens INTEGER NOT NULL, micros INTEGER NOT NULL
);
"""
_ADD_USAGE = """
INSERT INTO usage VALUES (?, ?, ?)
ON CONFLICT (day) DO UPDATE SET tokens = tokens + excluded.tokens, micros = micros + excluded.micros
RETURNING tokens, micros
"""
_GET = "SELECT key, label FROM verdicts WHERE judged_at > ? AND key IN (MARKS)"
_FORGET = """
DELETE FROM verdicts WHERE key IN (SELECT key FROM verdicts ORDER BY judged_at LIMIT ?)
"""
_PUT = "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?)"
#: Variables in one statement; older SQLite allows 999.
_KEYS_AT_ONCE = 500
#: Share of the verdicts that goes when the file has reached its bound.
_PRUNED = 0.2
_DAYS_OF_USAGE = 90


class SqliteStore:
    """A store in one SQLite file, or in memory when ``path`` is None.

    ``max_secs`` is a verdict's age, ``max_bytes`` about the size of the file, ``clock`` gives epoch
    seconds. By age verdicts are deleted only when ``clock`` has agreed with ``monotonic`` for an
    hour: they cost money, and a clock that jumps ahead comes back. A damaged file is put aside as
    ``<name>.damaged`` and begun anew.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        max_secs: float,
        max_bytes: int,
        clock: Clock = EPOCH,
        monotonic: Clock = MONOTONIC,
    ) -> None:
        self._path = path
        self._max_secs = max_secs
        self._max_bytes = max_bytes
        self._clock = clock
        self._is_steady = Steadiness(clock=clock, monotonic=monotonic)
        #: Whether other processes of this node keep their verdicts in the same place.
        self.is_shared = path is not None
        # SQLite's connections belong to the thread that opened them.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="waybill-llm-store")
        self._db: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open or create the file. Raises StoreError."""
        await self._run(self._open)

    async def get(self, keys: Sequence[str]) -> Mapping[str, str]:
        return await self._run(self._get, keys)

    async def put(self, judgements: Sequence[Judgement]) -> None:
        await self._run(self._put, judgements)

    async def add_usage(self, day: int, tokens: int, micros: int) -> Usage:
        return await self._run(self._add_usage, day, tokens, micros)

    async def judgements(self) -> list[Judgement]:
        return await self._run(self._judgements)

    async def close(self) -> None:
        with contextlib.suppress(StoreError):
            await self._run(self._close)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        except (sqlite3.Error, OSError) as error:
            log.warning("the LLM's verdict store failed", extra={"error": str(error)})
            raise StoreError("sqlite") from None
        except RuntimeError:  # the executor has been shut down
            raise StoreError("closed") from None

    def _open(self) -> None:
        try:
            self._db = self._connect()
        except sqlite3.DatabaseError as error:
            # Locked, read-only, no space: not the file's fault.
            if self._path is None or isinstance(error, sqlite3.OperationalError):
                raise
            self._path.replace(self._path.with_name(self._path.name + ".damaged"))
            log.warning(
                "the LLM's verdict store was damaged and begins anew", extra={"path": self._path}
            )
            self._db = self._connect()
        self._prune()

    def _connect(self) -> sqlite3.Connection:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # What was asked is nobody else's business.
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        db = sqlite3.connect(self._path or ":memory:", timeout=2.0, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.executescript(_SCHEMA)
        except BaseException:
            db.close()
            raise
        return db

    @property
    def _open_db(self) -> sqlite3.Connection:
        if self._db is None:
            raise sqlite3.OperationalError("not open")
        return self._db

    def _get(self, keys: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        oldest = self._clock() - self._max_secs
        for part in in_parts(keys, _KEYS_AT_ONCE):
            marks = ",".join("?" * len(part))
            query = _GET.replace("MARKS", marks)
            found.update(self._open_db.execute(query, (oldest, *part)).fetchall())
        return found

    def _put(self, judgements: Sequence[Judgement]) -> None:
        rows = [
            (
                one.key,
                one.text,
                one.label,
                "\n".join(one.labels),
                "\n".join(one.sources),
                one.version,
                one.judged_at,
            )
            for one in judgements
        ]
        with self._transaction() as db:
            db.executemany(_PUT, rows)
        self._prune()

    def _add_usage(self, day: int, tokens: int, micros: int) -> Usage:
        with self._transaction() as db:
            (row,) = db.execute(_ADD_USAGE, (day, tokens, micros)).fetchall()
        return Usage(*row)

    def _judgements(self) -> list[Judgement]:
        rows = self._open_db.execute(
            "SELECT key, text, label, labels, sources, version, judged_at FROM verdicts"
            " ORDER BY judged_at"
        )
        return [
            Judgement(key, text, label, _lines(labels), _lines(sources), version, judged_at)
            for key, text, label, labels, sources, version, judged_at in rows
        ]

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._open_db
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def _prune(self) -> None:
        """Forget what is too old and, when the file is too large, the oldest of the rest."""
        with self._transaction() as db:
            if self._is_steady():
                self._forget_old(db)
            ((pages,), (free,), (size,)) = (
                db.execute(f"PRAGMA {name}").fetchone()
                for name in ("page_count", "freelist_count", "page_size")
            )
            if (pages - free) * size > self._max_bytes:
                (count,) = db.execute("SELECT count(*) FROM verdicts").fetchone()
                db.execute(
                    _FORGET,
                    (max(1, int(count * _PRUNED)),),
                )

    def _forget_old(self, db: sqlite3.Connection) -> None:
        now = self._clock()
        db.execute("DELETE FROM verdicts WHERE judged_at <= ?", (now - self._max_secs,))
        db.execute("DELETE FROM usage WHERE day < ?", (int(now // 86_400) - _DAYS_OF_USAGE,))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n")) if text else ()


def default_path(environ: Mapping[str, str] | None = None) -> Path | None:
    """``llm.sqlite`` in the folder for state; None for a user without a home."""
    folder = state_folder(environ)
    return None if folder is None else folder / "llm.sqlite"
