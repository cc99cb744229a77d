"""Verdicts and usage that all nodes share through Redis or Valkey (extra ``redis``).

Beside the verdicts stands an index of their ages, by which the oldest are found when there are too
many.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from waybill.core.causes import cause_of
from waybill.core.foreign import read_json
from waybill.core.sent import sent
from waybill.core.turns import in_parts
from waybill.labelling.llm.errors import StoreError
from waybill.labelling.llm.redis_reading import counted_answers, counting_pool
from waybill.labelling.llm.store import Judgement, Usage

log = logging.getLogger(__name__)
T = TypeVar("T")

PREFIX = "waybill:llm:"
_INDEX = PREFIX + "index"
_TIMEOUT_SECS = 1.0
#: For the whole of an answer, which may come slowly.
_ANSWER_SECS = 3.0
_SAID_CHARS = 200
#: What a verdict takes in Redis, about: key, value of 300 bytes, index entry.
_VERDICT_BYTES = 600
_KEYS_AT_ONCE = 500
_INDEX_AT_ONCE = 10_000
_USAGE_DAYS = 90
_DAYS_TOLD = 4


class Redis:
    """A connection pool whose failures are all `StoreError`; imports the client when it is made."""

    def __init__(self, url: str) -> None:
        import redis.asyncio

        sent(unquote(urlsplit(url).password or ""))
        pool = counting_pool(
            url,
            decode_responses=True,
            encoding_errors="replace",  # what something else wrote costs nobody its verdict
            socket_timeout=_TIMEOUT_SECS,
            socket_connect_timeout=_TIMEOUT_SECS,
            health_check_interval=30,
        )
        self.client: Any = redis.asyncio.Redis.from_pool(pool)

    async def run(self, work: Awaitable[Any], read: Callable[[Any], T]) -> T:
        """What ``read`` makes of the answer to a command.

        Raises:
            StoreError: no answer, none in time, or an error of Redis.
        """
        try:
            with counted_answers():
                async with asyncio.timeout(_ANSWER_SECS):
                    return read(await work)
        except Exception as error:  # noqa: BLE001 - an answer can be wrong in any way
            said = f"{type(error).__name__}: {cause_of(error)}"[:_SAID_CHARS]
            log.warning("the LLM's Redis failed", extra={"error": said})
            raise StoreError("redis") from None

    async def close(self) -> None:
        """Close the connections."""
        await self.client.aclose()


class _Reported:
    """What this process has told a count of a day, and which count that was."""

    def __init__(self, born: str) -> None:
        self.born = born
        self.tokens = 0
        self.micros = 0


class RedisStore:
    """A `VerdictStore` in Redis; ``max_bytes`` bounds the number of verdicts, at 600 bytes each."""

    def __init__(self, redis: Redis, *, max_secs: float, max_bytes: int) -> None:
        self._redis = redis
        self._max_secs = max_secs
        self._max_count = max(1, max_bytes // _VERDICT_BYTES)
        self._told: dict[int, _Reported] = {}

    async def get(self, keys: Sequence[str]) -> Mapping[str, str]:
        found = await self._read(keys)
        return {judgement.key: judgement.label for judgement in found}

    async def put(self, judgements: Sequence[Judgement]) -> None:
        pipe = self._redis.client.pipeline(transaction=False)
        for one in judgements:
            pipe.set(
                PREFIX + "verdict:" + one.key,
                msgspec.json.encode(one),
                ex=max(1, int(self._max_secs)),
            )
        pipe.zadd(_INDEX, {one.key: one.judged_at for one in judgements})
        pipe.zremrangebyscore(_INDEX, "-inf", judgements[-1].judged_at - self._max_secs)
        pipe.zcard(_INDEX)
        count = await self._redis.run(pipe.execute(), lambda answer: int(answer[-1]))
        if count > self._max_count:
            await self._forget_oldest(min(count - self._max_count, _KEYS_AT_ONCE))

    async def _forget_oldest(self, count: int) -> None:
        popped = self._redis.client.zpopmin(_INDEX, count)
        names = await self._redis.run(
            popped, lambda oldest: [f"{PREFIX}verdict:{key}" for key, _ in oldest]
        )
        if names:
            await self._redis.run(self._redis.client.unlink(*names), int)

    async def add_usage(self, day: int, tokens: int, micros: int) -> Usage:
        total, born = await self._add_usage(day, tokens, micros)
        told = self._told.setdefault(day, _Reported(born))
        while len(self._told) > _DAYS_TOLD:
            del self._told[next(iter(self._told))]
        if told.born != born:
            # It was started without its data, or dropped this key: it is told all of it again.
            before, told.born = told.born, born
            try:
                total, _ = await self._add_usage(day, told.tokens, told.micros)
            except StoreError:
                told.born = before
                raise
        told.tokens += tokens
        told.micros += micros
        return total

    async def _add_usage(self, day: int, tokens: int, micros: int) -> tuple[Usage, str]:
        """A day's total with what is added, and the name that its count was born with."""
        key = f"{PREFIX}usage:{day}"
        pipe = self._redis.client.pipeline(transaction=True)
        pipe.hsetnx(key, "born", secrets.token_hex(8))
        pipe.hget(key, "born")
        pipe.hincrby(key, "tokens", tokens)
        pipe.hincrby(key, "micros", micros)
        pipe.expire(key, _USAGE_DAYS * 86_400)
        return await self._redis.run(
            pipe.execute(), lambda said: (Usage(int(said[2]), int(said[3])), str(said[1]))
        )

    async def judgements(self) -> list[Judgement]:
        keys: dict[str, None] = {}  # one that comes meanwhile moves the others on
        for start in range(0, self._max_count, _INDEX_AT_ONCE):
            part = self._redis.client.zrevrange(_INDEX, start, start + _INDEX_AT_ONCE - 1)
            found = await self._redis.run(part, _texts)
            keys.update(dict.fromkeys(found))
            if len(found) < _INDEX_AT_ONCE:
                break
        return await self._read([*reversed(keys)])

    async def _read(self, keys: Sequence[str]) -> list[Judgement]:
        found: list[Judgement] = []
        for part in in_parts(keys, _KEYS_AT_ONCE):
            values = await self._redis.run(
                self._redis.client.mget([PREFIX + "verdict:" + key for key in part]),
                _texts,
            )
            for key, value in zip(part, values, strict=False):
                try:
                    judgement = read_json(value, Judgement)
                except msgspec.MsgspecError:  # absent, or written by something else
                    continue
                if judgement.key == key:
                    found.append(judgement)
        return found

    async def close(self) -> None:
        await self._redis.close()


def _texts(values: Any) -> list[str]:
    """A list of texts, "" for what is not there. Raises ValueError on anything else."""
    if not isinstance(values, list):
        raise ValueError(f"expected a list, got {type(values).__name__}")
    return [value if isinstance(value, str) else "" for value in values]
