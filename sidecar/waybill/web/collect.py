"""Asks the sidecars what they say, and puts it into the store.

A sidecar that is down costs its own row. One that lies is quarantined: an answer that is too long,
too slow or no NDJSON of patterns is not merged at all, and its beginning is kept for people to see.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import sqlite3
import time
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
import msgspec

from waybill.api.patterns import CURSOR
from waybill.core.errors import WaybillError
from waybill.core.pattern import Pattern, decode
from waybill.patterns.query import MOST_PATTERNS
from waybill.settings.sections.workbench import WorkbenchSettings
from waybill.web.store.database import Database
from waybill.web.store.nodes import NodeState, note_node
from waybill.web.store.recording import NodeAnswer, forget, record_answer, refresh_rates

log = logging.getLogger(__name__)
#: Bounds on what one sidecar may answer: more than 20,000 patterns with examples need.
MAX_ANSWER_BYTES = 64 << 20
_MAX_EDITION_BYTES = 1 << 20
#: What is kept of an answer that cannot be used.
_HEAD_BYTES = 2048
_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5, sock_read=10)
#: Sidecars asked side by side.
_AT_ONCE = 8
_DAY = 86_400.0


class BadAnswer(WaybillError):
    """What a sidecar answered cannot be used: why, and how it begins."""

    code = "bad_answer"

    def __init__(self, why: str, head: bytes = b"") -> None:
        super().__init__(why)
        self.head = head[:_HEAD_BYTES]


class Said(NamedTuple):
    """One whole answer of a sidecar."""

    patterns: list[Pattern]
    edition: dict[str, object]


class Collector:
    """Asks every ``workbench.collect_secs``, until it is stopped."""

    def __init__(self, settings: WorkbenchSettings, database: Database, token: str | None) -> None:
        self._settings = settings
        self._database = database
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Event()

    async def start(self) -> None:
        """Begin to ask."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop asking."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def ask_again(self) -> None:
        """Ask now, not only when the interval is over."""
        self._turn.set()

    async def collect(self) -> None:
        """Ask every sidecar once."""
        slots = asyncio.Semaphore(_AT_ONCE)
        async with aiohttp.ClientSession(headers=self._headers, timeout=_TIMEOUT) as client:

            async def ask(name: str, address: str) -> None:
                async with slots:
                    await self._ask(client, name, address)

            places = await addresses(self._settings.sidecars)
            await asyncio.gather(*(ask(name, address) for name, address in places.items()))
        now = time.time()
        keep = self._settings.keep_days * _DAY
        most = self._settings.max_patterns
        await self._database.write(lambda connection: forget(connection, keep, most, now))

    async def _run(self) -> None:
        hour = 0
        while True:
            try:
                await self.collect()
                if hour != int(time.time() // 3600):
                    hour = int(time.time() // 3600)
                    await self._database.write(_refresh_all)
            except Exception as error:
                log.error("collecting failed; it is tried again", exc_info=error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._turn.wait(), self._settings.collect_secs)
            self._turn.clear()

    async def _ask(self, client: aiohttp.ClientSession, name: str, address: str) -> None:
        now = time.time()
        try:
            said = await ask_sidecar(client, address)
        except (BadAnswer, aiohttp.ClientError, TimeoutError, OSError) as error:
            state = NodeState(name, address, now, fault=_sentence(error))
            if isinstance(error, BadAnswer):
                state = state._replace(head=error.head.decode("utf-8", "replace"))
            await self._database.write(lambda connection: note_node(connection, state))
            return
        answer = NodeAnswer(name, now, said.patterns)
        state = NodeState(name, address, now, edition=json.dumps(said.edition))
        await self._database.write(lambda connection: _merge(connection, answer, state))


def _refresh_all(connection: sqlite3.Connection) -> None:
    refresh_rates(connection, None, time.time())


def _merge(connection: sqlite3.Connection, answer: NodeAnswer, state: NodeState) -> None:
    record_answer(connection, answer)
    note_node(connection, state)


async def ask_sidecar(client: aiohttp.ClientSession, address: str) -> Said:
    """All patterns of a sidecar, page by page, and the edition in force.

    Raises:
        BadAnswer: it is no answer of a sidecar.
        aiohttp.ClientError, TimeoutError, OSError: there is none.
    """
    patterns: dict[str, Pattern] = {}
    left = MAX_ANSWER_BYTES
    query = {"limit": str(MOST_PATTERNS)}
    while True:
        async with client.get(f"{address}/v1/patterns", params=query) as reply:
            body = await _read(reply, left)
            cursor = reply.headers.get(CURSOR, "")
        left -= len(body)
        for one in await asyncio.to_thread(_decode_all, body):
            patterns[one.id] = one
        if not cursor or cursor == query.get("after"):
            break
        query["after"] = cursor
    return Said(list(patterns.values()), await _edition(client, address))


async def _edition(client: aiohttp.ClientSession, address: str) -> dict[str, object]:
    async with client.get(f"{address}/v1/edition") as reply:
        if reply.status == 404:  # a sidecar of before
            return {}
        body = await _read(reply, _MAX_EDITION_BYTES)
    try:
        edition = json.loads(body)
    except ValueError:
        raise BadAnswer("its edition is no JSON", body) from None
    if not isinstance(edition, dict):
        raise BadAnswer("its edition is no JSON object", body)
    return edition


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
            place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            found[place] = f"{parts.scheme}://{place}{parts.path.rstrip('/')}"
    return found


async def _read(reply: aiohttp.ClientResponse, most: int) -> bytes:
    body = bytearray()
    async for piece in reply.content.iter_chunked(1 << 16):
        body += piece
        if len(body) > most:
            raise BadAnswer(f"its answer is larger than {most >> 20} MB", bytes(body[:_HEAD_BYTES]))
    if reply.status != 200:
        raise BadAnswer(f"it answered {reply.status}", bytes(body))
    return bytes(body)


def _decode_all(body: bytes) -> list[Pattern]:
    found = []
    position = 0
    for line in body.splitlines(keepends=True):
        if line.strip():
            try:
                found.append(decode(line))
            except msgspec.DecodeError as error:
                why = f"its answer is no NDJSON of patterns at byte {position}: {error}"
                raise BadAnswer(why, line) from None
        position += len(line)
    return found


def _sentence(error: BaseException) -> str:
    """Why there is no answer, in a few words."""
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    return str(error) or type(error).__name__
