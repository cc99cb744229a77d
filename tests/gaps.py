"""How long the event loop works in one piece, by processor time: the same on a busy machine."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator


class Gaps:
    """The longest piece of work so far, in seconds of this thread's processor time."""

    worst = 0.0


@contextlib.asynccontextmanager
async def gaps() -> AsyncIterator[Gaps]:
    """Measures what the event loop does without giving other tasks a turn.

    Without the collector: it looks at the whole process, which the tests before this one filled.
    """
    found = Gaps()

    async def tick() -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            found.worst = max(found.worst, now - last)
            last = now

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(0)
    gc.disable()
    try:
        yield found
    finally:
        gc.enable()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        ticker.cancel()
