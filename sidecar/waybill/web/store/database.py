"""The workbench's store: one SQLite file, one writer, readers beside it.

SQLite runs on threads of its own, so that no statement stops the event loop. Writes go one after
another through one connection; what they are is told by a function that gets it. Reads have a
connection each from a small pool and see what was committed last.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from waybill.core.errors import ConfigError
from waybill.web.store.faults import network_mount, store_error
from waybill.web.store.schema import migrate

T = TypeVar("T")
#: How long a statement waits for another process that holds the file, in seconds.
_BUSY_SECS = 5.0
_READERS = 4
#: Pages that each connection keeps, in KiB; the others are in the system's cache.
_CACHE_KIB = 4096


class Database:
    """The file ``path``. Everything that is written is on disk when its call returns.

    Raises:
        ConfigError: the file cannot be opened, is no store, is of a newer version, or lies on a
            network file system.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        _refuse_network(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = self._connect(is_writer=True)
            migrate(self._writer)
        except sqlite3.Error as error:
            raise ConfigError([f"workbench.store: {path}: {store_error(error) or error}"]) from None
        except (OSError, ValueError) as error:
            raise ConfigError([f"workbench.store: {path} cannot be used: {error}"]) from None
        self._write_thread = ThreadPoolExecutor(1, "waybill-store-writer")
        self._read_threads = ThreadPoolExecutor(_READERS, "waybill-store-reader")

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` gives; all that it changed is committed, or nothing when it raises.

        Raises StoreError: locked for too long, full, or damaged; nothing is changed.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._write_thread, self._in_transaction, work)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` gives on a connection that changes nothing. Raises StoreError."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._read_threads, self.look, work)

    def close(self) -> None:
        """Wait for what is under way and close the file."""
        self._write_thread.shutdown()
        self._read_threads.shutdown()
        for connection in self._open:
            connection.close()

    def _in_transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with _in_words(), _transaction(self._writer):
            return work(self._writer)

    def look(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """As `read`, on the thread that calls: it must be one that lasts, and waits."""
        with _in_words(), _moment(self._reader()) as connection:
            return work(connection)

    def _reader(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._connect(is_writer=False)
            self._local.connection = found
        return found

    def _connect(self, *, is_writer: bool) -> sqlite3.Connection:
        """A connection; a reader's may change nothing but temporary tables of its own."""
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={'rwc' if is_writer else 'ro'}",
            timeout=_BUSY_SECS,
            isolation_level=None,
            check_same_thread=False,
            uri=True,
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        if is_writer:
            connection.execute("PRAGMA journal_mode = WAL")
            # A commit is on disk when it returns: an accepted correction outlives a power cut.
            connection.execute("PRAGMA synchronous = FULL")
        with self._lock:
            self._open.append(connection)
        return connection


@contextlib.contextmanager
def _moment(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All that is read within is of one moment: rows and numbers of a page agree."""
    connection.execute("BEGIN")
    try:
        yield connection
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        # A disk that is full has taken it back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """Tell what is wrong with the file, not what SQLite calls it. Raises StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        fault = store_error(error)
        if fault is None:
            raise
        raise fault from error


def _refuse_network(path: Path) -> None:
    """Raises ConfigError: ``path`` lies on a network file system."""
    try:
        with Path("/proc/self/mountinfo").open(errors="replace") as mounts:
            kind = network_mount(path.absolute(), mounts)
    except OSError:
        return  # no Linux: nobody can tell
    if kind is not None:
        why = f"{path} lies on a network file system ({kind}), where SQLite loses data"
        raise ConfigError([f"workbench.store: {why}; use a local disk"])
