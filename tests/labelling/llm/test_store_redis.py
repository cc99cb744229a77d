"""A Redis that lies, drips or speaks something else is one that is away."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from tests.effort import allowed
from tests.gaps import gaps
from waybill.labelling.llm import redis_reading, store_redis
from waybill.labelling.llm.errors import StoreError
from waybill.labelling.llm.ledger import Ledger
from waybill.labelling.llm.store import Usage
from waybill.labelling.llm.window import LocalWindow

Say = Callable[[asyncio.StreamWriter], Awaitable[None]]
#: Answers that no command of ours has, or that are none at all.
LIES = [
    b"$9999999999\r\nx",
    b"+" + b"x" * (1 << 20),
    b"?what\r\n",
    b"*-7\r\n",
    b":x\r\n",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"*1\r\n" * 3_000,
    b"+OK\r\n" * 1_000,
    b"-ERR " + b"x" * 60_000 + b"\r\n",
    b"$-1\r\n" * 1_000,
    b"\x00\xff\xfe",
]


@asynccontextmanager
async def redis_that(says: bytes) -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while await reader.read(4096):
                writer.write(says)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.close()


@pytest.mark.parametrize("says", LIES, ids=lambda says: repr(says[:12]))
async def test_whatever_it_answers_the_ledger_spends_its_own_share(says: bytes) -> None:
    pytest.importorskip("redis", reason="the redis client is not installed")
    from waybill.labelling.llm.window_redis import RedisWindow

    async with redis_that(says) as url:
        redis = store_redis.Redis(url)
        store = store_redis.RedisStore(redis, max_secs=1000, max_bytes=6000)
        ledger = Ledger(store, tokens_per_day=1000, own_share=0.5)
        assert await ledger.reserve(100, 0) == Usage(100, 0)
        for ask in (store.judgements(), store.get(["a"])):
            with suppress(StoreError):
                assert not await ask
        window = RedisWindow(redis, 60, 10.0, LocalWindow(60))
        assert await window.enter("call") >= 0.0
        await window.leave("call", was_made=True)
        await store.close()


#: How an answer begins, and what it goes on with for ever.
ENDLESS = {
    "a value of 512 MB": (b"$536870912\r\n", b"x" * 65_536),
    "a list of nothing": (b"*1000000000\r\n", b"$-1\r\n" * 10_000),
    "a list of numbers": (b"*1000000000\r\n", b":1\r\n" * 10_000),
    "a list of texts": (b"*1000000000\r\n", b"$60000\r\n%b\r\n" % (b"x" * 60_000)),
    "lists of lists": (b"", b"*1000\r\n" * 10_000),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_an_answer_without_end_takes_neither_memory_nor_the_loop(name: str) -> None:
    pytest.importorskip("redis", reason="the redis client is not installed")
    head, more = ENDLESS[name]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.read(4096)
            writer.write(head)
            while True:
                writer.write(more)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    store = store_redis.RedisStore(store_redis.Redis(url), max_secs=1000, max_bytes=6000)
    tracemalloc.start()
    try:
        async with gaps() as found:
            for ask in (store.judgements(), store.get(["a"]), store.add_usage(1, 2, 3)):
                with pytest.raises(StoreError):
                    await ask
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        await store.close()
        server.close()
    assert peak < 48 << 20
    assert found.worst < allowed(0.05)


async def test_what_an_answer_has_is_counted_before_it_is_held() -> None:
    stream = asyncio.StreamReader()
    reader = redis_reading._Stream(stream)
    stream.feed_data(b"+OK\r\n" * 1000)
    with redis_reading.counted_answers():
        assert await reader.readline() == b"+OK\r\n"
        with pytest.raises(ConnectionError, match="more than 4 MB"):
            await reader.readexactly(536_870_912)
        stream.feed_data(b"x" * redis_reading._MOST_BYTES)
        with pytest.raises(ConnectionError, match="more than 4 MB"):
            await reader.read(redis_reading._MOST_BYTES)


async def test_an_answer_that_drips_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_redis, "_ANSWER_SECS", 0.02)
    redis = object.__new__(store_redis.Redis)
    with pytest.raises(StoreError):
        await redis.run(asyncio.Event().wait(), bool)


@pytest.mark.parametrize("answer", [None, "x", [], ["x"], {}, [[1]]])
async def test_an_answer_of_another_kind_is_none(answer: object) -> None:
    async def said() -> object:
        return answer

    redis = object.__new__(store_redis.Redis)
    with pytest.raises(StoreError):
        await redis.run(said(), lambda total: Usage(int(total[0]), int(total[1])))


class Forgetful:
    """As much of a client as counting takes; what it counts is lost with ``data``."""

    def __init__(self) -> None:
        self.data: dict[str, dict[str, Any]] = {}
        self._said: list[object] = []

    def pipeline(self, *, transaction: bool) -> Forgetful:
        assert transaction
        self._said = []
        return self

    def hsetnx(self, key: str, name: str, value: str) -> None:
        self._said.append(self.data.setdefault(key, {}).setdefault(name, value) == value)

    def hget(self, key: str, name: str) -> None:
        self._said.append(self.data[key][name])

    def hincrby(self, key: str, name: str, count: int) -> None:
        self.data[key][name] = self.data[key].get(name, 0) + count
        self._said.append(self.data[key][name])

    def expire(self, key: str, secs: int) -> None:
        self._said.append(bool(self.data[key]) and secs > 0)

    async def execute(self) -> list[object]:
        return self._said


async def test_a_redis_that_lost_its_data_is_told_again() -> None:
    redis = object.__new__(store_redis.Redis)
    redis.client = client = Forgetful()
    nodes = [store_redis.RedisStore(redis, max_secs=1000, max_bytes=6000) for _ in range(3)]
    for node in nodes:
        await node.add_usage(1, 100, 7)
    assert await nodes[0].add_usage(1, -40, 0) == Usage(260, 21)
    for _ in range(2):
        client.data.clear()
        assert await nodes[0].add_usage(1, 0, 0) == Usage(60, 7)
        assert await nodes[1].add_usage(1, 0, 0) == Usage(160, 14)
        assert await nodes[2].add_usage(1, 0, 0) == Usage(260, 21)
    assert await nodes[2].add_usage(2, 5, 0) == Usage(5, 0)
