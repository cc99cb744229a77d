"""Background tasks that last as long as the process: an error ends one turn, not the task."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

__all__ = ["again_and_again"]

log = logging.getLogger(__name__)
#: How long to rest after an error that nobody has thought of.
_REST_SECS = 1.0


async def again_and_again(what: str, work: Callable[[], Awaitable[object]]) -> None:
    """Do ``work``, which waits for its next turn itself, until the task is cancelled.

    An error that nobody has thought of ends one turn: a task that ended with it would not be
    missed until somebody needs what it did.
    """
    while True:
        try:
            await work()
        except Exception:
            log.exception("%s failed for no known reason; it is tried again", what)
            await asyncio.sleep(_REST_SECS)
