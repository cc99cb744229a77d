"""Waiting for what must come: for a condition, and so long that a slow and busy machine does not
miss it. Where nothing may come, a short wait is right: that is `asyncio.timeout` with its error
expected. How quick something is, `make bench` and `make stalls` measure.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

#: Seconds after which it will not come any more; under the limit of a test (pyproject.toml).
PATIENCE_SECS = 90.0
_LOOK_SECS = 0.01


def patience() -> asyncio.Timeout:
    """A wait in vain ends here: ``async with patience(): await what_must_come``."""
    return asyncio.timeout(PATIENCE_SECS)


async def until(condition: Callable[[], object | Awaitable[object]]) -> None:
    """Wait until ``condition`` (which may be a coroutine function) says something true.

    Raises `TimeoutError`.
    """
    async with patience():
        while True:
            found = condition()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return
            await asyncio.sleep(_LOOK_SECS)


def wait_until(condition: Callable[[], object]) -> None:
    """`until` where no event loop runs. Raises `TimeoutError`."""
    ends_at = time.monotonic() + PATIENCE_SECS
    while not condition():
        if time.monotonic() > ends_at:
            raise TimeoutError("what must come did not")
        time.sleep(_LOOK_SECS)
