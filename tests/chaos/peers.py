"""Producers and receivers that behave as Fluent Bit and Vector do (statuses, retries,
acknowledgements).

What a producer makes of a status stands in the shippers' sources: Fluent Bit retries 408, 429 and
5xx, Vector the same but 501; every other 4xx is an order to drop. Their waits are shortened, their
patience is not endless here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import msgpack
from aiohttp import web

from tests.chaos.oracle import Oracle
from tests.support.streams import StreamServer

Hook = Callable[[], Awaitable[None]]
_RETRY_SECS = 0.1


def event_time(number: int) -> msgpack.ExtType:
    """An EventTime that follows from the record's number."""
    return msgpack.ExtType(
        0, struct.pack(">II", 1_795_000_000 + number // 1000, number % 1000 * 1_000_000 + 7)
    )


# -- producers ----------------------------------------------------------------------------------


class Producer:
    """Sends chunks until each is taken, over ``connections`` at once; ``answer_secs`` is its
    patience.
    """

    def __init__(
        self, oracle: Oracle, *, chunk: int = 200, connections: int = 4, answer_secs: float = 60.0
    ) -> None:
        self.oracle, self.chunk, self.connections, self.answer_secs = (
            oracle,
            chunk,
            connections,
            answer_secs,
        )
        #: Runs when a chunk was answered, before the oracle hears of it.
        self.before_done: Hook | None = None

    async def run(self, records: int) -> None:
        """Send ``records`` more."""
        left = records
        rest = iter(lambda: left, 0)

        async def one() -> None:
            nonlocal left
            async with self.opened() as send:
                for _ in rest:
                    count = min(self.chunk, left)
                    left -= count
                    numbers = self.oracle.issue(count)
                    while not await send(numbers):
                        await asyncio.sleep(_RETRY_SECS)
                    if self.before_done is not None:
                        await self.before_done()
                    self.oracle.acknowledge(numbers)

        async with asyncio.TaskGroup() as group:
            for _ in range(self.connections):
                group.create_task(one())

    def opened(self) -> contextlib.AbstractAsyncContextManager[Callable[[range], Awaitable[bool]]]:
        """A way to send: gives whether the chunk is done, one way or the other."""
        raise NotImplementedError

    def note(self, outcome: str) -> None:
        """Count an answer."""
        statuses = self.oracle.report.statuses
        statuses[outcome] = statuses.get(outcome, 0) + 1


class HttpProducer(Producer):
    """Fluent Bit's ``out_http`` (``form`` msgpack) or Vector's ``http`` sink (``form`` ndjson or
    json).
    """

    def __init__(self, oracle: Oracle, address: str, form: str = "ndjson", **options: Any) -> None:
        super().__init__(oracle, **options)
        self.address, self.form = address, form
        self.headers: dict[str, str] = {}
        #: What the other side said when it dropped a chunk.
        self.answers: list[bytes] = []
        #: What is sent again and again until it is taken.
        self._made: dict[range, tuple[bytes, str]] = {}

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Callable[[range], Awaitable[bool]]]:
        timeout = aiohttp.ClientTimeout(total=self.answer_secs)
        async with aiohttp.ClientSession(timeout=timeout) as client:
            yield lambda numbers: self._until_taken(client, numbers)

    async def _until_taken(self, client: aiohttp.ClientSession, numbers: range) -> bool:
        if numbers not in self._made:
            self._made[numbers] = self.body(numbers)
        is_done = await self._send(client, numbers, *self._made[numbers])
        if is_done:
            del self._made[numbers]
        return is_done

    def body(self, numbers: range) -> tuple[bytes, str]:
        """A chunk and its content type."""
        if self.form == "msgpack":
            entries = [[[event_time(n), {}], self.oracle.record(n)] for n in numbers]
            return b"".join(map(msgpack.packb, entries)), "application/msgpack"
        texts = [self.oracle.text(n) for n in numbers]
        if self.form == "json":
            return b"[" + b",".join(texts) + b"]", "application/json"
        return b"\n".join(texts) + b"\n", "application/x-ndjson"

    async def _send(
        self, client: aiohttp.ClientSession, numbers: range, body: bytes, kind: str
    ) -> bool:
        try:
            async with client.post(
                f"{self.address}/v1/label/app.web",
                data=body,
                headers={"Content-Type": kind} | self.headers,
            ) as reply:
                answer = await reply.read()
                self.note(str(reply.status))
        except (aiohttp.ClientError, TimeoutError) as error:
            self.note("timeout" if isinstance(error, TimeoutError) else "closed")
            return False
        if 200 <= reply.status <= 205:
            self.take_answer(answer)
            return True
        if reply.status in (408, 429) or reply.status >= 500:
            return False
        self.oracle.report.dropped += len(numbers)
        self.answers.append(answer)
        return True

    def take_answer(self, answer: bytes) -> None:
        """With ``return.type: body`` the records are in the answer."""
        for line in answer.splitlines() if self.form == "ndjson" else ():
            self.oracle.deliver(json.loads(line), line)


class ForwardProducer(Producer):
    """Fluent Bit's ``out_forward`` with ``require_ack_response``."""

    def __init__(self, oracle: Oracle, port: int, **options: Any) -> None:
        super().__init__(oracle, **options)
        self.port = port

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Callable[[range], Awaitable[bool]]]:
        link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

        async def send(numbers: range) -> bool:
            nonlocal link
            try:
                async with asyncio.timeout(self.answer_secs):
                    link = link or await asyncio.open_connection("127.0.0.1", self.port)
                    await self._send(*link, numbers)
            except (OSError, TimeoutError, EOFError, ValueError):
                self.note("closed")
                if link is not None:
                    link[1].transport.abort()
                    link = None
                return False
            self.note("ack")
            return True

        try:
            yield send
        finally:
            if link is not None:
                link[1].close()

    async def _send(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, numbers: range
    ) -> None:
        """Send a chunk and wait for its acknowledgement. Raises EOFError, ValueError, OSError."""
        chunk = f"chunk-{numbers.start}"
        entries = b"".join(
            msgpack.packb([[event_time(n), {}], self.oracle.record(n)]) for n in numbers
        )
        writer.write(msgpack.packb(["app.web", entries, {"chunk": chunk, "size": len(numbers)}]))
        await writer.drain()
        unpacker = msgpack.Unpacker()
        while data := await reader.read(4096):
            unpacker.feed(data)
            for message in unpacker:
                if message != {"ack": chunk}:
                    raise ValueError("an acknowledgement for something else")
                return
        raise EOFError


# -- receivers ----------------------------------------------------------------------------------


class HttpReceiver:
    """``in_http`` (201) or Vector's ``http_server`` (200): answers once the records are noted.

    ``is_text`` when records come in as the oracle's `text`; ``before_answer`` runs between noting
    and answering. ``status`` can be set to make it refuse, before anything is noted.
    """

    def __init__(self, oracle: Oracle, *, is_text: bool = True, answer: int = 200) -> None:
        self.oracle, self.is_text, self.answer = oracle, is_text, answer
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.before_answer: Hook | None = None
        self.batches = 0
        self.requests: list[float] = []

    async def __aenter__(self) -> HttpReceiver:
        app = web.Application(client_max_size=1 << 27)
        app.router.add_post("/{tag:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests.append(time.monotonic())
        if self.status is not None:
            return web.Response(status=self.status, headers=self.headers)
        for line in body.splitlines():
            record = json.loads(line)
            if (
                not self.is_text
            ):  # an event's time stands in the record where there is no other place for it
                seconds = record.pop("date", None)
                record |= {} if _is_time_of(record["n"], seconds) else {"date": seconds}
            self.oracle.deliver(record, line if self.is_text else None)
        self.batches += 1
        if self.before_answer is not None:
            await self.before_answer()
        return web.Response(status=self.answer)


def _is_time_of(number: int, seconds: object) -> bool:
    """Whether JSON seconds are the event's time, as near as a double holds it."""
    whole, nanos = struct.unpack(">II", event_time(number).data)
    return isinstance(seconds, float) and abs(seconds - whole - nanos / 1e9) < 1e-6


class ForwardReceiver:
    """``in_forward``: acknowledges a chunk once its records are noted."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.before_answer: Hook | None = None
        #: Makes the acknowledgement of a chunk id; None sends none.
        self.ack: Callable[[str], bytes | None] = lambda chunk: msgpack.packb({"ack": chunk})
        self.batches = 0
        self._server = StreamServer(self._serve)

    async def __aenter__(self) -> ForwardReceiver:
        self.port = await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        unpacker = msgpack.Unpacker(max_buffer_size=1 << 27, strict_map_key=False)
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 18):
                unpacker.feed(data)
                for _, entries, options in unpacker:
                    self._note(entries)
                    self.batches += 1
                    if self.before_answer is not None:
                        await self.before_answer()
                    answer = self.ack(options["chunk"])
                    if answer is not None:
                        writer.write(answer)
                        await writer.drain()

    def _note(self, entries: bytes | list[Any]) -> None:
        if isinstance(entries, bytes):
            packed = msgpack.Unpacker(max_buffer_size=1 << 27, strict_map_key=False)
            packed.feed(entries)
            entries = list(packed)
        for stamp, record in entries:
            time_is_kept = stamp[0] == event_time(record["n"])
            self.oracle.deliver(record if time_is_kept else record | {"time": "changed"})
