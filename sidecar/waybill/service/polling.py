"""Asks a source for news about every so many seconds, for as long as the service runs."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

__all__ = ["Poller"]

log = logging.getLogger(__name__)
#: Nodes that start together do not ask together: an interval is this share longer or shorter.
_JITTER = 0.1


class Poller:
    """Calls ``ask`` every ``interval_secs``, a tenth more or less, until it is stopped.

    A start with nothing from before waits ``start_secs`` at most for the first answer; ``lack`` is
    then logged, with the ``source``.
    """

    def __init__(
        self,
        source: str,
        interval_secs: float,
        ask: Callable[[], Awaitable[object]],
        *,
        lack: str,
        start_secs: float,
    ) -> None:
        self._source = source
        self._interval_secs = interval_secs
        self._ask = ask
        self._lack = lack
        self._start_secs = start_secs
        self._has_asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, *, has_some: bool) -> None:
        """Begin; wait a little for the first answer where there is nothing from before."""
        self._task = asyncio.create_task(self._run())
        if has_some:
            return
        try:
            async with asyncio.timeout(self._start_secs):
                await self._has_asked.wait()
        except TimeoutError:
            log.warning("%s", self._lack, extra={"source": self._source})

    async def stop(self) -> None:
        """Stop asking; what is under way is ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._ask()
            except Exception:  # the task's edge: it asks again
                log.exception("following a source failed", extra={"source": self._source})
            self._has_asked.set()
            jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
            await asyncio.sleep(self._interval_secs * jitter)
