"""Work that many ask for at once: one run is under way, and one waits for all who ask meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

__all__ = ["Coalesced"]

T = TypeVar("T")


class Coalesced(Generic[T]):
    """Does ``work`` for many callers in as few runs as can be.

    Each caller gets the outcome of a run that began after the call, so that it covers whatever the
    caller changed before.
    """

    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        self._work = work
        self._one_runs = asyncio.Lock()
        self._waiting: asyncio.Task[T] | None = None

    async def run(self) -> T:
        """The outcome of the next run; it goes on when a caller is cancelled."""
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._run_next())
        return await asyncio.shield(self._waiting)

    async def _run_next(self) -> T:
        async with self._one_runs:
            self._waiting = None
            return await self._work()
