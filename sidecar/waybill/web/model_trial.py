"""What another model would do to the stored patterns: the backtest, over a day of records.

It runs in a child process. A bundle brings a graph that is run: one that crashes, takes all memory
or never ends costs its own comparison, and the pages go on.
"""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from waybill.core.child import ChildOutputError, Ended, run_child
from waybill.core.foreign import read_json
from waybill.core.pattern import encode
from waybill.learn.backtest.result import Backtest
from waybill.settings.schema import Settings
from waybill.web.run_settings import SETTINGS_FILE, environment, write_settings
from waybill.web.store.corrections import export
from waybill.web.store.database import Database
from waybill.web.trials import Trial, of_a_day

#: So long a comparison may take, and so much memory: both models, and an answer.
_SECS = 900.0
_MEMORY_BYTES = 4 << 30


class ModelTrials:
    """Compares two bundles, one comparison at a time."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Over the patterns and corrections of ``database``."""
        self._settings = settings
        self._database = database
        self._turn = asyncio.Lock()

    async def try_models(self, old: str, new: str) -> Trial:
        """The records of a day that change their label with the bundle ``new`` instead of
        ``old``.
        """
        async with self._turn:
            begin = time.perf_counter()
            try:
                found = await self._measured(old, new)
            except TimeoutError:
                found = f"The comparison took more than {_SECS:.0f} s and was ended."
            except (OSError, ChildOutputError) as error:
                found = f"The comparison cannot be run: {error}"
            secs = time.perf_counter() - begin
        return Trial(None, secs, found) if isinstance(found, str) else Trial(found, secs)

    async def _measured(self, old: str, new: str) -> Backtest | str:
        """What was found, or why nothing was."""
        lines = await self._database.read(lambda store: b"".join(_patterns(store)))
        corrections = await self._database.read(export)
        with tempfile.TemporaryDirectory(prefix="waybill-trial-") as scratch:
            words = await asyncio.to_thread(self._prepare, Path(scratch), lines, corrections)
            sides = ("--old", f"current,{old}", "--new", f"current,{new}", "--json")
            ended = await run_child(
                "waybill",
                (*words, *sides),
                secs=_SECS,
                memory_bytes=_MEMORY_BYTES,
                environment=environment(),
            )
        if ended.code:
            return why(ended)
        return read_json(ended.output, Backtest)

    def _prepare(self, folder: Path, lines: bytes, corrections: bytes) -> tuple[str, ...]:
        """Write what is read into ``folder``; the command and where that is."""
        write_settings(folder, self._settings, b"")
        said, patterns = folder / "said.ndjson", folder / "patterns.ndjson"
        said.write_bytes(corrections)
        patterns.write_bytes(lines)
        settings = str(folder / SETTINGS_FILE)
        files = ("--on", str(patterns), "--corrections", str(said))
        return ("backtest", "--config", settings, *files)


def why(ended: Ended) -> str:
    """Why a trial has no result."""
    words = ended.last_words().removeprefix("waybill: ").removeprefix("error: ")
    if ended.code < 0:
        name = signal.Signals(-ended.code).name
        return f"One of the two bundles cannot be run: the comparison was ended by {name}. {words}"
    return words or f"waybill backtest ended with code {ended.code}"


def _patterns(store: sqlite3.Connection) -> Iterator[bytes]:
    """Every stored pattern with its records of a day as its count."""
    for row in store.execute("SELECT body, day_count FROM patterns WHERE day_count > 0"):
        yield encode(of_a_day(row))
