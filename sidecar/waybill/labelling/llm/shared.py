"""What all nodes share through Redis or Valkey (extra ``redis``): verdicts, usage and the rate window.

Beside the verdicts stands an index of their ages, by which the oldest are found when there are too
many. The rate window is one sorted set, moved on by a script, so that no two nodes take the same slot.
While Redis is away each node falls back to its own share of the limit.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from waybill.labelling.llm.guards import LocalWindow
from waybill.labelling.llm.store import Judgement, StoreError, Usage

log = logging.getLogger(__name__)
T = TypeVar("T")

_PREFIX = "waybill:llm:"
_INDEX = _PREFIX + "index"
_WINDOW = _PREFIX + "window"
_TIMEOUT_SECS = 1.0
#: What a verdict takes in Redis, about: key, value of 300 bytes, index entry.
_VERDICT_BYTES = 600
_KEYS_AT_ONCE = 500
_USAGE_DAYS = 90
#: KEYS: the window. ARGV: call, limit, seconds of the window, seconds that a call may be under way.
#: A slot's score is the time until which it counts; one under way counts as if it would take its full time.
_ENTER = """
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('ZADD', KEYS[1], now + ARGV[3] + ARGV[4], ARGV[1])
  redis.call('EXPIRE', KEYS[1], math.ceil(ARGV[3] + ARGV[4]) + 1)
  return '0'
end
return tostring(redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] - now)
"""
#: KEYS: the window. ARGV: call, seconds of the window, '1' if the call was made.
_LEAVE = """
if ARGV[3] == '1' then
  local now = redis.call('TIME')
  redis.call('ZADD', KEYS[1], 'XX', now[1] + now[2] / 1000000 + ARGV[2], ARGV[1])
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return 0
"""


class Redis:
    """A connection pool whose failures are all `StoreError`; imports the client when it is made."""

    def __init__(self, url: str) -> None:
        import redis.asyncio

        self._error = redis.asyncio.RedisError
        self.client: Any = redis.asyncio.from_url(
            url,
            decode_responses=True,
            socket_timeout=_TIMEOUT_SECS,
            socket_connect_timeout=_TIMEOUT_SECS,
            health_check_interval=30,
        )

    async def run(self, work: Awaitable[T]) -> T:
        """The result of a command. Raises StoreError."""
        try:
            return await work
        except (self._error, OSError, TimeoutError) as error:
            # The text of a connection error names host and port, never the password.
            log.warning(
                "the LLM's Redis failed", extra={"error": f"{type(error).__name__}: {error}"}
            )
            raise StoreError("redis") from None

    async def close(self) -> None:
        """Close the connections."""
        await self.client.aclose()


class RedisStore:
    """A `VerdictStore` in Redis; ``max_bytes`` bounds the number of verdicts, at 600 bytes each."""

    def __init__(self, redis: Redis, *, max_secs: float, max_bytes: int) -> None:
        self._redis, self._max_secs = redis, max_secs
        self._max_count = max(1, max_bytes // _VERDICT_BYTES)

    async def get(self, keys: Sequence[str]) -> Mapping[str, str]:
        found = await self._read(keys)
        return {judgement.key: judgement.label for judgement in found}

    async def put(self, judgements: Sequence[Judgement]) -> None:
        pipe = self._redis.client.pipeline(transaction=False)
        for one in judgements:
            pipe.set(
                _PREFIX + "verdict:" + one.key,
                msgspec.json.encode(one),
                ex=max(1, int(self._max_secs)),
            )
        pipe.zadd(_INDEX, {one.key: one.judged_at for one in judgements})
        pipe.zremrangebyscore(_INDEX, "-inf", judgements[-1].judged_at - self._max_secs)
        pipe.zcard(_INDEX)
        *_, count = await self._redis.run(pipe.execute())
        if count > self._max_count:
            await self._forget_oldest(count - self._max_count)

    async def _forget_oldest(self, count: int) -> None:
        oldest = await self._redis.run(self._redis.client.zpopmin(_INDEX, count))
        await self._redis.run(
            self._redis.client.unlink(*(_PREFIX + "verdict:" + key for key, _ in oldest))
        )

    async def add_usage(self, day: int, tokens: int, micros: int) -> Usage:
        key = f"{_PREFIX}usage:{day}"
        pipe = self._redis.client.pipeline(transaction=True)
        pipe.hincrby(key, "tokens", tokens)
        pipe.hincrby(key, "micros", micros)
        pipe.expire(key, _USAGE_DAYS * 86_400)
        total = await self._redis.run(pipe.execute())
        return Usage(int(total[0]), int(total[1]))

    async def judgements(self) -> list[Judgement]:
        return await self._read(await self._redis.run(self._redis.client.zrange(_INDEX, 0, -1)))

    async def _read(self, keys: Sequence[str]) -> list[Judgement]:
        found: list[Judgement] = []
        for at in range(0, len(keys), _KEYS_AT_ONCE):
            part = keys[at : at + _KEYS_AT_ONCE]
            values = await self._redis.run(
                self._redis.client.mget([_PREFIX + "verdict:" + key for key in part])
            )
            for key, value in zip(part, values, strict=True):
                try:
                    judgement = msgspec.json.decode(value or b"", type=Judgement)
                except msgspec.MsgspecError:  # absent, or written by something else
                    continue
                if judgement.key == key:
                    found.append(judgement)
        return found

    async def close(self) -> None:
        await self._redis.close()


class RedisWindow:
    """A `Window` that all nodes share; ``call_secs`` is the longest that a call can be under way.

    ``fallback`` is this node's share, for as long as Redis does not answer.
    """

    def __init__(
        self, redis: Redis, per_minute: float, call_secs: float, fallback: LocalWindow
    ) -> None:
        self._redis, self._fallback, self._call_secs = redis, fallback, call_secs
        self._limit = max(1, int(per_minute))
        self._secs = 60.0 * self._limit / per_minute
        self._script: Callable[..., Awaitable[Any]] = redis.client.register_script(_ENTER)
        self._leave_script: Callable[..., Awaitable[Any]] = redis.client.register_script(_LEAVE)

    async def enter(self, call: str) -> float:
        # The own share counts every call, too, so that it knows them when Redis goes away.
        try:
            arguments = [call, self._limit, self._secs, self._call_secs]
            return max(
                0.0, float(await self._redis.run(self._script(keys=[_WINDOW], args=arguments)))
            )
        except StoreError:
            return await self._fallback.enter(call)

    async def leave(self, call: str, *, was_made: bool) -> None:
        await self._fallback.leave(call, was_made=was_made)
        try:
            arguments = [call, self._secs, "1" if was_made else "0"]
            await self._redis.run(self._leave_script(keys=[_WINDOW], args=arguments))
        except StoreError:
            pass  # the slot then counts a little longer
