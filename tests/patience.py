"""Waiting for what must come: for a condition, and so long that a slow and busy machine does not
miss it. Where nothing may come, a short wait is right: that is `asyncio.timeout` with its error
expected. How quick something is, `make bench` and `make stalls` measure.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Iterator

#: Seconds after which it will not come any more; under the limit of a test (pyproject.toml).
PATIENCE_SECS = 90.0
#: The first looks follow each other closely; what takes longer is looked at less often, for a look
#: can be as much work as what it waits for.
_LOOK_SECS = 0.01
_LONG_LOOK_SECS = 0.1
_GROWTH = 1.1


def patience() -> asyncio.Timeout:
    """A wait in vain ends here: ``async with patience(): await what_must_come``."""
    return asyncio.timeout(PATIENCE_SECS)


async def until(condition: Callable[[], object | Awaitable[object]]) -> None:
    """Wait until ``condition`` (which may be a coroutine function) says something true.

    Raises `TimeoutError`.
    """
    async with patience():
        for look_secs in _looks():
            found = condition()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return
            await asyncio.sleep(look_secs)


def wait_until(condition: Callable[[], object]) -> None:
    """`until` where no event loop runs. Raises `TimeoutError`."""
    ends_at = time.monotonic() + PATIENCE_SECS
    for look_secs in _looks():
        if condition():
            return
        if time.monotonic() > ends_at:
            raise TimeoutError("what must come did not")
        time.sleep(look_secs)


def _looks() -> Iterator[float]:
    secs = _LOOK_SECS
    while True:
        yield secs
        secs = min(_GROWTH * secs, _LONG_LOOK_SECS)
