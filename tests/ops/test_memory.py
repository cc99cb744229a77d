"""When the memory of a peak is given back."""

from __future__ import annotations

import asyncio

import pytest

from tests.patience import until
from waybill.ops import memory
from waybill.ops.memory import Growth, Trimmer, resident_bytes

MUCH = 20 << 20


@pytest.fixture(name="given_back")
def _given_back(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    given: list[None] = []
    monkeypatch.setattr(memory, "give_back", lambda: given.append(None))
    monkeypatch.setattr(memory, "_PAUSE_SECS", 0.0)
    return given


async def test_a_peak_is_given_back_once_its_work_is_over(given_back: list[None]) -> None:
    trimmer = Trimmer()
    for in_use in (1, MUCH, 5, 0):
        trimmer.note(in_use)
    await until(lambda: len(given_back) >= 1)


async def test_work_that_is_under_way_at_that_time_is_given_back_when_it_ends(
    given_back: list[None],
) -> None:
    trimmer = Trimmer()
    for in_use in (MUCH, 0, MUCH):
        trimmer.note(in_use)
    await until(lambda: len(given_back) >= 1)
    trimmer.note(0)
    await until(lambda: len(given_back) >= 2)


async def test_little_work_gives_nothing_back(given_back: list[None]) -> None:
    trimmer = Trimmer()
    for in_use in (1000, 0, 2000, 0):
        trimmer.note(in_use)
    await asyncio.sleep(0.01)
    assert given_back == []


async def test_nothing_is_begun_after_the_stop(given_back: list[None]) -> None:
    """The loop had no threads any more: "Executor shutdown has been called" at each stop."""
    trimmer = Trimmer()
    for in_use in (MUCH, 0):
        trimmer.note(in_use)
    await trimmer.stop()
    for in_use in (MUCH, 0):
        trimmer.note(in_use)
    await asyncio.sleep(0.05)
    assert given_back == []


async def test_what_nothing_counted_is_given_back_once_for_each_growth(
    given_back: list[None],
) -> None:
    resident = [100 << 20]
    growth = Growth(lambda: resident[0])
    for size in (101, 90, 95, 99, 99):
        resident[0] = size << 20
        await growth.look()
    assert len(given_back) == 1, "9 MB more than the least there was"
    resident[0] = 120 << 20
    await growth.look()
    assert len(given_back) == 2
    assert resident_bytes() > 1 << 20
