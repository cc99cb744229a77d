"""Bounds what a Redis answers: a value of it may have 512 MB, and a list any number of them.

Its client reads a connection through one stream. Ours counts there what the command that is under
way is answered, before it is held, and gives others a turn between many small values.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool

__all__ = ["counted_answers", "counting_pool"]

#: What one command is answered at most: 500 verdicts have some 200 KB.
_MOST_BYTES = 4 << 20
#: So many values are read in one piece: some milliseconds.
_AT_ONCE = 200


class _Answer:
    """What one command is answered, however many connections it takes."""

    left = _MOST_BYTES


_under_way: ContextVar[_Answer | None] = ContextVar("redis_answer", default=None)


@contextlib.contextmanager
def counted_answers() -> Iterator[None]:
    """Within, all answers together have 4 MB; beyond that the connection fails."""
    token = _under_way.set(_Answer())
    try:
        yield
    finally:
        _under_way.reset(token)


class _Stream:
    """As much of a stream as the client uses, counted."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self._reads = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def read(self, most: int = -1) -> bytes:
        return self._counted(await self._stream.read(most))

    async def readline(self) -> bytes:
        await self._take_turn()
        return self._counted(await self._stream.readline())

    async def readexactly(self, size: int) -> bytes:
        answer = _under_way.get()
        if answer is not None and size > answer.left:
            raise _too_much()
        await self._take_turn()
        return self._counted(await self._stream.readexactly(size))

    def _counted(self, data: bytes) -> bytes:
        answer = _under_way.get()
        if answer is not None:
            answer.left -= len(data)
            if answer.left < 0:
                raise _too_much()
        return data

    async def _take_turn(self) -> None:
        self._reads += 1
        if self._reads % _AT_ONCE == 0:
            await asyncio.sleep(0)


def _too_much() -> ConnectionError:
    return ConnectionError(f"it answers more than {_MOST_BYTES >> 20} MB")


class _Counting:
    """A connection of the client, with such a stream."""

    _reader: Any

    async def _connect(self) -> None:
        await super()._connect()  # type: ignore[misc]
        self._reader = _Stream(self._reader)


def counting_pool(url: str, **options: Any) -> ConnectionPool:
    """Connections to the Redis at ``url``."""
    from redis._parsers import _AsyncRESP2Parser
    from redis.asyncio import ConnectionPool

    # Where hiredis is installed it would be taken: it makes a list as long as its head says.
    pool = ConnectionPool.from_url(url, parser_class=_AsyncRESP2Parser, **options)
    kind = pool.connection_class
    pool.connection_class = type(kind.__name__, (_Counting, kind), {})
    return pool
