"""Big tables are emptied in steps, and only when nobody uses them any more."""

from __future__ import annotations

import asyncio
import gc

import pytest

from tests.patience import patience
from waybill.core import letting_go
from waybill.core.correction import new_correction, settle
from waybill.core.letting_go import empty_in_turns, let_go, take_apart
from waybill.labelling.corrections.table import make_table


def test_all_kinds_of_tables_are_emptied() -> None:
    many = list(range(5001))
    table, names = dict.fromkeys(many, "x"), set(many)
    take_apart(table, names, many)
    assert (table, names, many) == ({}, set(), [])


async def test_a_table_that_is_used_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letting_go, "_PAUSE_SECS", 0.001)
    steps: list[int] = []

    class Last:
        def __del__(self) -> None:
            steps.append(1)

    used = dict.fromkeys(range(20_000), "x")
    freed = {number: Last() for number in range(20_000)}
    let_go([used, freed])
    del freed
    async with patience():
        while len(steps) < 20_000:
            before = len(steps)
            await asyncio.sleep(0)
            assert len(steps) - before <= 2000
    assert len(used) == 20_000


def test_without_a_loop_nothing_happens() -> None:
    table = dict.fromkeys(range(20_000), "x")
    let_go([table])
    assert len(table) == 20_000


def test_the_garbage_collector_has_nothing_to_look_at() -> None:
    """One look at 100,000 objects is a step of 60 ms in which nothing else runs."""
    history = [new_correction(f"unit {unit} failed", "Error") for unit in "abc"]
    table = make_table(history)
    for one in (history[0], settle(history)[0], next(table.standing())):
        assert not gc.is_tracked(one)


async def test_lists_are_emptied_in_turns_unless_somebody_else_has_them() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    held = [str(i) for i in range(50_000)]
    tables = [held, [str(i) for i in range(50_000)], ["few"]]
    task = asyncio.create_task(others())
    await empty_in_turns(tables)
    task.cancel()
    assert [len(table) for table in tables] == [50_000, 0, 1]
    assert turns >= 3
