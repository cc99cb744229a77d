"""A rate window that all nodes share through Redis or Valkey.

It is one sorted set, moved on by a script, so that no two nodes take the same slot. While Redis is
away each node falls back to its own share of the limit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from waybill.labelling.llm.errors import StoreError
from waybill.labelling.llm.store_redis import PREFIX, Redis
from waybill.labelling.llm.window import LocalWindow

_WINDOW = PREFIX + "window"
#: KEYS: the window. ARGV: call, limit, seconds of the window, seconds that a call may be under way.
#: A slot's score is the time until which it counts; one under way counts as if it would take its
#: full time.
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


class RedisWindow:
    """A `Window` that all nodes share; ``call_secs`` is the longest that a call can be under way.

    ``fallback`` is this node's share, for as long as Redis does not answer.
    """

    def __init__(
        self, redis: Redis, per_minute: float, call_secs: float, fallback: LocalWindow
    ) -> None:
        self._redis = redis
        self._fallback = fallback
        self._call_secs = call_secs
        self._limit = max(1, int(per_minute))
        self._secs = 60.0 * self._limit / per_minute
        self._script: Callable[..., Awaitable[Any]] = redis.client.register_script(_ENTER)
        self._leave_script: Callable[..., Awaitable[Any]] = redis.client.register_script(_LEAVE)

    async def enter(self, call: str) -> float:
        # The own share counts every call, too, so that it knows them when Redis goes away.
        try:
            arguments = [call, self._limit, self._secs, self._call_secs]
            asked = self._script(keys=[_WINDOW], args=arguments)
            return max(0.0, await self._redis.run(asked, float))
        except StoreError:
            return await self._fallback.enter(call)

    async def leave(self, call: str, *, was_made: bool) -> None:
        await self._fallback.leave(call, was_made=was_made)
        try:
            arguments = [call, self._secs, "1" if was_made else "0"]
            await self._redis.run(self._leave_script(keys=[_WINDOW], args=arguments), int)
        except StoreError:
            pass  # the slot then counts a little longer
