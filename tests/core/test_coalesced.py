"""Work that many ask for at once is done in few runs, and late enough for each of them."""

from __future__ import annotations

import asyncio

import pytest

from waybill.core.coalesced import Coalesced


class Work:
    """Runs that end when they are let go on; each gives its number."""

    def __init__(self) -> None:
        self.begun = 0
        self.gate = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        await self.gate.wait()
        return number


async def test_a_hundred_callers_share_the_run_that_begins_after_their_call() -> None:
    work = Work()
    coalesced = Coalesced(work)
    first = asyncio.create_task(coalesced.run())
    while not work.begun:
        await asyncio.sleep(0)
    rest = [asyncio.create_task(coalesced.run()) for _ in range(100)]
    await asyncio.sleep(0)
    work.gate.set()
    assert await first == 1
    assert await asyncio.gather(*rest) == [2] * 100


async def test_a_caller_that_is_cancelled_takes_the_run_from_nobody() -> None:
    work = Work()
    coalesced = Coalesced(work)
    one, other = (asyncio.create_task(coalesced.run()) for _ in range(2))
    while not work.begun:
        await asyncio.sleep(0)
    one.cancel()
    await asyncio.gather(one, return_exceptions=True)
    work.gate.set()
    assert await other == 1


async def test_a_run_that_fails_fails_for_its_callers_and_not_for_later_ones() -> None:
    outcomes = iter([OSError("full"), None])

    async def work() -> None:
        outcome = next(outcomes)
        if outcome is not None:
            raise outcome

    coalesced = Coalesced(work)
    with pytest.raises(OSError, match="full"):
        await coalesced.run()
    await coalesced.run()
