"""What a changed rule file would do to the stored patterns, over a day of records.

Trials run on a thread of their own, in turns. A request gets within seconds what was found by
then: patterns with most records are compared first, and of what was not compared all records count
as what may change. The rest follows: the next request for the same text gets more, in the end all.
"""

from __future__ import annotations

import asyncio
import functools
import json
import sqlite3
import threading
import time
from array import array
from concurrent.futures import Future
from typing import NamedTuple

import msgspec

from waybill.core.correction import settle
from waybill.core.errors import WaybillError
from waybill.core.pattern import Pattern
from waybill.labelling.corrections.files import parse_history
from waybill.labelling.rules.ruleset import RuleSet
from waybill.learn.backtest.corrections import Corrections
from waybill.learn.backtest.result import Backtest
from waybill.learn.backtest.sides import Lent, SideSpec, open_sides
from waybill.learn.backtest.stepwise import Stepwise
from waybill.ops.memory import give_back
from waybill.web.engine import Engine
from waybill.web.rulebook import Rulebook
from waybill.web.store.corrections import export
from waybill.web.store.database import Database
from waybill.web.store.recording import pattern_of

#: How long somebody waits for a first answer, the text read as well: a page has 2 s. However long
#: reading took, something is to be seen.
_PATIENCE_SECS = 1.3
_LEAST_SECS = 0.3
#: A trial that nobody asked for in this time is given up; one that is done is forgotten.
_ASKED_SECS = 30.0
#: How long one trial computes before another has its turn, and the patterns of a first turn.
_TURN_SECS = 0.05
_FIRST_TURN = 20


class Trial(NamedTuple):
    """What was found in how many seconds; ``fault`` says why nothing was.

    ``compared`` of the ``asked`` patterns that a changed rule may match were compared; of the
    others the result says that all records may change, unless it ``is_done``.
    """

    found: Backtest | None
    secs: float
    fault: str = ""
    compared: int = 0
    asked: int = 0
    is_done: bool = True
    #: By which `Trials.again` finds it, and the text that was tried.
    key: str = ""
    file: str = ""
    text: str = ""


class _Running:
    """A trial under way, or done; but for ``asked_at`` only the thread of trials touches it."""

    def __init__(self, asked: Trial) -> None:
        self._asked = asked
        self.begin = self.asked_at = time.monotonic()
        #: Whether somebody was told only a part of it.
        self.is_awaited = False
        #: What all patterns are, and those to be compared as rows of the store with their records,
        #: those with most first.
        self.patterns = self.records = 0
        self.candidates = array("q")
        self.weights = array("q")
        self.steps: Stepwise | None = None
        self.compared = 0
        self._done: Trial | None = None

    def so_far(self) -> Trial:
        """What was found so far."""
        if self._done is not None:
            return self._done
        self.is_awaited = True
        if self.steps is None:
            return self._trial(None)
        found = self.steps.so_far()
        found.high += sum(self.weights[self.compared :])
        return self._trial(found)

    def end(self, found: Backtest | None, fault: str = "") -> None:
        """Keep what was found in all."""
        self._done = self._trial(found, fault)._replace(is_done=True)
        self.steps = None

    def _trial(self, found: Backtest | None, fault: str = "") -> Trial:
        if found is not None:
            # Also of those patterns that need not be compared.
            found = msgspec.structs.replace(found, patterns=self.patterns, records=self.records)
        return self._asked._replace(
            found=found,
            secs=time.monotonic() - self.begin,
            fault=fault,
            compared=self.compared,
            asked=len(self.candidates),
            is_done=False,
        )


class Trials:
    """The trials of one workbench."""

    def __init__(self, engine: Engine, rulebook: Rulebook, database: Database) -> None:
        self._engine, self._rulebook, self._database = engine, rulebook, database
        self._running: dict[str, tuple[_Running, Future[None]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.patience_secs = _PATIENCE_SECS

    async def attempt(self, name: str, text: str) -> Trial:
        """The records of a day that change their label with ``text`` as the own file ``name``, as
        far as was found in time.
        """
        begin = time.monotonic()
        try:
            said = await self._rulebook.check(name, text)
            if said.compiled is None:
                fault = "; ".join(map(str, said.faults))
                return Trial(None, time.monotonic() - begin, fault)
            rules = (await self._rulebook.in_force(), said.compiled)
            key = f"{rules[0].version}-{rules[1].version}"
            self._forget(key)
            if key not in self._running:
                await self._begin(Trial(None, 0.0, key=key, file=name, text=text), rules)
        except (WaybillError, OSError) as error:
            return Trial(None, time.monotonic() - begin, str(error))
        running, ended = self._running[key]
        least = min(self.patience_secs, _LEAST_SECS)
        left = max(self.patience_secs - (time.monotonic() - begin), least)
        running.asked_at = time.monotonic() + left
        await asyncio.wait([asyncio.wrap_future(ended)], timeout=left)
        return await self._wait_for(running, ended)

    async def again(self, key: str) -> Trial | None:
        """What was found by now in a trial that is known; None: it was forgotten."""
        known = self._running.get(key)
        if known is None:
            return None
        known[0].asked_at = time.monotonic()
        return await self._wait_for(*known)

    async def _wait_for(self, running: _Running, ended: Future[None]) -> Trial:
        if ended.done():
            ended.result()
        result = asyncio.run_coroutine_threadsafe(_result_of(running), self._started())
        return await asyncio.wrap_future(result)

    async def close(self) -> None:
        """Give up what is under way."""
        if self._loop is None or self._thread is None:
            return
        # They end before their loop does, or nobody would be left to end them.
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_end_others(), self._loop))
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()
        self._loop = None

    def _started(self) -> asyncio.AbstractEventLoop:
        """The event loop of the thread of trials."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._loop.run_forever, name="waybill-trials", daemon=True
            )
            self._thread.start()
        return self._loop

    def _forget(self, key: str) -> None:
        """Drop what is done, but for the trial ``key`` if somebody waits for the whole of it."""
        for known, (one, ended) in list(self._running.items()):
            is_late = time.monotonic() - one.asked_at > _ASKED_SECS
            if ended.done() and (is_late or (known == key and not one.is_awaited)):
                del self._running[known]

    async def _begin(self, told: Trial, rules: tuple[RuleSet, RuleSet]) -> None:
        model = (await self._engine.opened()).model
        lent = Lent(model.bundle if model is not None else None, list(rules))
        running = _Running(told)
        work = self._work(running, lent)
        ended = asyncio.run_coroutine_threadsafe(work, self._started())
        self._running[told.key] = running, ended

    async def _work(self, running: _Running, lent: Lent) -> None:
        """All of a trial, on the thread of trials."""
        try:
            sides = open_sides(self._engine.lean, SideSpec(), SideSpec(), is_alone=False, lent=lent)
            async with sides as (old, new):
                lines = self._database.look(export)
                history = parse_history(lines, str(self._database.path)).corrections
                standing = Corrections(one.correction for one in settle(history))
                steps = Stepwise(old, new, standing)
                self._database.look(lambda store: _read(store, steps, running))
                running.steps = steps
                await self._compare(running, steps)
        except (WaybillError, OSError) as error:
            running.end(None, str(error))
        finally:
            give_back()

    async def _compare(self, running: _Running, steps: Stepwise) -> None:
        """Compare all candidates, in turns with other trials."""
        size = _FIRST_TURN
        while running.compared < len(running.candidates):
            begin = time.monotonic()
            if begin - running.asked_at > _ASKED_SECS:
                running.end(None, "nobody waited for it: try again")
                return
            block = running.candidates[running.compared : running.compared + size]
            await steps.take(self._database.look(functools.partial(_patterns, block.tolist())))
            running.compared += len(block)
            took = time.monotonic() - begin
            size = max(_FIRST_TURN, min(2 * size, int(size * _TURN_SECS / max(took, 1e-6))))
            await asyncio.sleep(0)
        running.end(await steps.finish())


def of_a_day(row: sqlite3.Row) -> Pattern:
    """A stored pattern (``body``, ``day_count``) with its records of a day as its count."""
    pattern = pattern_of(row)
    scale = row["day_count"] / pattern.count if pattern.count else 0.0
    sources = {name: round(count * scale) for name, count in pattern.sources.items()}
    return msgspec.structs.replace(
        pattern, count=row["day_count"], error=0, sources=sources, other_sources=0
    )


async def _end_others() -> None:
    """Cancel all tasks of this loop but this one, and wait until they have ended."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _result_of(running: _Running) -> Trial:
    return running.so_far()


def _read(store: sqlite3.Connection, steps: Stepwise, running: _Running) -> None:
    """Count all patterns, and note those that a changed rule may match or somebody corrected."""
    corrected = {row["pattern"] for row in store.execute("SELECT pattern FROM standing")}
    rows, weights = array("q"), array("q")
    for row in store.execute("SELECT rowid, id, day_count, body FROM patterns WHERE day_count > 0"):
        running.patterns += 1
        running.records += row["day_count"]
        if row["id"] in corrected or steps.may_touch(row["body"].lower()):
            rows.append(row["rowid"])
            weights.append(row["day_count"])
    order = sorted(range(len(rows)), key=weights.__getitem__, reverse=True)
    running.candidates.extend(map(rows.__getitem__, order))
    running.weights.extend(map(weights.__getitem__, order))


def _patterns(rows: list[int], store: sqlite3.Connection) -> list[Pattern]:
    """The stored patterns of these rows, in any order."""
    query = "SELECT body, day_count FROM patterns WHERE rowid IN (SELECT value FROM json_each(?))"
    return list(map(of_a_day, store.execute(query, (json.dumps(rows),))))
