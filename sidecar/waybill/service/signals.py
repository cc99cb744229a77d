"""Signals: SIGTERM and SIGINT end a service, SIGHUP has it reload."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from typing import NoReturn

__all__ = ["ENDING_AT_ONCE", "end_at_once", "until_stopped"]

log = logging.getLogger(__name__)
#: What is said when a second Ctrl-C comes.
ENDING_AT_ONCE = "interrupted again: ending at once; shippers send again what was under way"
_INTERRUPTED = 128 + signal.SIGINT


def end_at_once() -> NoReturn:
    """End this process without waiting for what is under way."""
    log.warning(ENDING_AT_ONCE)
    logging.shutdown()
    os._exit(_INTERRUPTED)


async def until_stopped(reload: Callable[[], Coroutine[object, object, bool]]) -> None:
    """Wait for SIGTERM or SIGINT; SIGHUP calls ``reload``.

    A second SIGINT ends the process: a person does not wait for a receiver that is gone.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    interrupts = itertools.count()
    reloads: set[asyncio.Task[bool]] = set()

    def on_hangup() -> None:
        task = asyncio.create_task(reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    def on_interrupt() -> None:
        # Not after a SIGTERM alone: the parent of workers sends one behind the terminal's SIGINT.
        if next(interrupts):
            end_at_once()
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, on_interrupt)
    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    await stop.wait()
