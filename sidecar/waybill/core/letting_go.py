"""Lets go of big tables a piece at a time: freeing a million small objects is one long step in C.

Nothing else runs in the process during such a step, on whatever thread it is: 100,000 verdicts with
their keys take 30 ms, and the event loop waits for it.

>>> table = dict.fromkeys("abc")
>>> take_apart(table, many := [1, 2, 3])
>>> table, many
({}, [])
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Sized
from typing import TypeVar

__all__ = ["empty_in_turns", "let_go", "take_apart"]

T = TypeVar("T")
#: Objects that are freed in one step: about half a millisecond.
_STEP = 2000
#: The same where others have their turn in between: about two milliseconds.
_TURN = 16_384
#: Tables with fewer entries go at once.
_FEW = 10_000
#: What still uses a table, such as a batch that is under way, has so long.
_PAUSE_SECS = 1.0
_TRIES = 120
#: References to a table that nobody uses any more: our list, a variable, an argument.
_OURS = 3


def take_apart(*tables: Sized) -> None:
    """Empty ``tables`` (dictionaries, lists, sets), which only the caller has, in steps.

    For threads beside the event loop: between two steps it has its turn.
    """
    for table in tables:
        while table:
            _step(table)


async def empty_in_turns(tables: list[list[T]]) -> None:
    """Empty those of ``tables`` that nobody else has, the event loop serving others in between.

    The caller must not have them in other variables either.
    """
    for position in range(len(tables)):
        table = tables[position]
        if len(table) <= _FEW or sys.getrefcount(table) > _OURS:
            continue
        while table:
            del table[-_TURN:]
            await asyncio.sleep(0)


def let_go(tables: Iterable[Sized]) -> None:
    """Have ``tables`` (dictionaries) emptied in steps on the event loop.

    Each is left alone until nobody else has it. Without a running loop nothing is done: nobody
    waits.
    """
    big = [table for table in tables if len(table) > _FEW]
    if not big:
        return
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    loop.call_later(_PAUSE_SECS, _go_on, loop, big, _TRIES)


def _go_on(loop: asyncio.AbstractEventLoop, tables: list[Sized], tries: int) -> None:
    """One step, and the next one later."""
    for position in range(len(tables)):
        table = tables[position]
        if sys.getrefcount(table) > _OURS:
            continue
        _step(table)
        if not table:
            del tables[position]
        if tables:
            loop.call_soon(_go_on, loop, tables, tries)
        return
    if tries:
        loop.call_later(_PAUSE_SECS, _go_on, loop, tables, tries - 1)


def _step(table: Sized) -> None:
    if isinstance(table, list):
        del table[-_STEP:]
    if isinstance(table, dict):
        for _ in range(min(_STEP, len(table))):
            table.popitem()
    if isinstance(table, set):
        for _ in range(min(_STEP, len(table))):
            table.pop()
