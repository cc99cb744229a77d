"""Asks the sidecars what they say, and puts it into the store.

A sidecar that is down costs its own row. One that lies is quarantined: an answer that is too long,
too slow or no NDJSON of patterns is not merged at all, and its beginning is kept for people to see.
One that is slow is heard when it answers; the others are asked again meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

import msgspec

from waybill.core.clock import Steadiness
from waybill.core.pattern import Pattern
from waybill.core.turns import in_parts
from waybill.patterns.client import NoAnswerError, PatternClient
from waybill.settings.addresses import bracketed
from waybill.settings.sections.workbench import WorkbenchSettings
from waybill.web.credible import credible
from waybill.web.labellings import edition_of
from waybill.web.spool import Spool
from waybill.web.spread import note_spread
from waybill.web.store.alike import Groups
from waybill.web.store.database import Database
from waybill.web.store.nodes import NodeState, note_node
from waybill.web.store.recording import NodeAnswer, forget, record_answer, refresh_rates
from waybill.web.store.source_sums import sum_sources

log = logging.getLogger(__name__)
#: Sidecars asked side by side.
_AT_ONCE = 8
_DAY = 86_400.0
_REFRESHED_AT_ONCE = 2000
#: What is noted of a node's clock beside its edition: how far it is ahead, in seconds.
AHEAD = "clock_ahead_secs"
_NO_LABELLING = "{} has no labelling {}: it is not among its `labellings`, or it is older than ours"


class Collector:
    """Asks every ``workbench.collect_secs``, until it is stopped."""

    def __init__(
        self,
        settings: WorkbenchSettings,
        database: Database,
        token: str,
        refresh: Callable[[], Awaitable[None]],
        labelling: str = "",
    ) -> None:
        """``refresh`` is called each time as well: it reads what stands outside. ``labelling`` is
        the one to ask about; empty: the first.
        """
        self._labelling = labelling
        self._refresh = refresh
        self._settings = settings
        self._database = database
        self._token = token
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Event()
        self._has_news = True
        #: A clock that jumped ahead makes everything old.
        self._is_steady = Steadiness()
        #: Those that gave no answer the last time: they may keep others waiting, so they are last.
        self._silent: set[str] = set()
        #: Those that are being asked, by name.
        self._asked: dict[str, asyncio.Task[None]] = {}
        self.groups = Groups()

    async def start(self) -> None:
        """Begin to ask."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop asking."""
        tasks = [*self._asked.values(), *([self._task] if self._task is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def ask_again(self) -> None:
        """Ask now, not only when the interval is over."""
        self._turn.set()

    async def collect(self, patience_secs: float | None = None) -> None:
        """Ask every sidecar once, but for those that have not answered yet from before.

        Answers are waited for ``patience_secs`` at most; None: to the last.
        """
        slots = asyncio.Semaphore(_AT_ONCE)

        async def ask(name: str, address: str) -> None:
            async with slots:
                await self._ask(name, address)

        places = await addresses(self._settings.sidecars)
        in_order = sorted(places.items(), key=lambda place: place[0] in self._silent)
        for name, address in in_order:
            if name not in self._asked:
                self._asked[name] = asyncio.create_task(ask(name, address))
        await self._wait(patience_secs)
        await self._database.write(self.groups.renew)
        now = time.time()
        before = now - self._settings.keep_days * _DAY if self._is_steady() else None
        most = self._settings.max_patterns
        await self._database.write(lambda connection: forget(connection, before, most))
        if self._has_news:
            self._has_news = False
            await self._database.write(lambda connection: sum_sources(connection, now))
        await self._database.write(note_spread)
        await self._refresh()

    async def _wait(self, patience_secs: float | None) -> None:
        """Wait for those that are asked; raises what went wrong on our side."""
        if not self._asked:
            return
        done, _ = await asyncio.wait(self._asked.values(), timeout=patience_secs)
        self._asked = {name: task for name, task in self._asked.items() if task not in done}
        for task in done:
            task.result()

    async def _run(self) -> None:
        hour = 0
        while True:
            try:
                if hour != int(time.time() // 3600):
                    hour = int(time.time() // 3600)
                    await _refresh_all(self._database)
                    self._has_news = True
                await self.collect(self._settings.collect_secs)
            except Exception as error:
                log.error("collecting failed; it is tried again", exc_info=error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.collect_secs):
                    await self._turn.wait()
            self._turn.clear()

    async def _hear(
        self, client: PatternClient, take: Callable[[Pattern], None]
    ) -> dict[str, object]:
        """``take`` every pattern of a node; gives what is in force there. Raises NoAnswerError."""
        if not self._labelling:
            await client.each(take)
            return await client.edition() | {AHEAD: client.ahead_secs}
        # One that does not know the labelling might tell of the first one.
        edition = edition_of(await client.edition(), self._labelling)
        if edition is None:
            raise NoAnswerError(_NO_LABELLING.format(client.url, self._labelling))
        await client.each(take, {"labelling": self._labelling})
        return edition | {AHEAD: client.ahead_secs}

    async def _ask(self, name: str, address: str) -> None:
        now = time.time()
        with Spool() as spool:
            try:
                async with PatternClient(address, self._token) as client:
                    edition = await self._hear(
                        client,
                        lambda pattern: spool.add(
                            _until(credible(pattern), now, client.ahead_secs)
                        ),
                    )
            except NoAnswerError as error:
                self._silent.add(name)
                state = NodeState(name, address, now, fault=str(error), head=error.head)
                await self._database.write(lambda connection: note_node(connection, state))
                return
            self._silent.discard(name)
            await self._merge(name, now, spool)
        state = NodeState(name, address, now, edition=json.dumps(edition))
        await self._database.write(lambda connection: note_node(connection, state))

    async def _merge(self, node: str, now: float, spool: Spool) -> None:
        """A batch after another, so that somebody who answers a question meanwhile need not wait
        for all of them.
        """
        for batch in spool.batches():
            write = functools.partial(record_answer, answer=NodeAnswer(node, now, batch))
            if await self._database.write(write):
                self._has_news = True


def _until(pattern: Pattern, now: float, ahead_secs: float) -> Pattern:
    """``pattern`` by our clock (its node's is ``ahead_secs`` ahead), and until ``now``: else it
    would be the newest for ever, or seem to have gone.

    ``since`` stays: by it a restart is known.
    """
    if not ahead_secs and pattern.first_seen <= pattern.last_seen <= now:
        return pattern
    last_seen = max(0.0, min(pattern.last_seen - ahead_secs, now))
    first_seen = max(0.0, min(pattern.first_seen - ahead_secs, last_seen))
    return msgspec.structs.replace(pattern, first_seen=first_seen, last_seen=last_seen)


async def _refresh_all(database: Database) -> None:
    """Bring the rates of all patterns up to date, some at a time."""
    ids = await database.read(
        lambda store: [row["id"] for row in store.execute("SELECT id FROM patterns")]
    )
    now = time.time()
    for some in in_parts(ids, _REFRESHED_AT_ONCE):
        await database.write(functools.partial(refresh_rates, ids=some, now=now))


async def addresses(sidecars: Sequence[str]) -> dict[str, str]:
    """Name -> address of every sidecar; a host that resolves to several is one for each."""
    found: dict[str, str] = {}
    loop = asyncio.get_running_loop()
    for address in sidecars:
        parts = urlsplit(address)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            known = await loop.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        except OSError:
            known = []
        hosts = list(dict.fromkeys(str(one[4][0]) for one in known))
        if len(hosts) < 2:
            found[parts.netloc] = address.rstrip("/")
            continue
        for host in hosts:
            place = f"{bracketed(host)}:{port}"
            found[place] = f"{parts.scheme}://{place}{parts.path.rstrip('/')}"
    return found
