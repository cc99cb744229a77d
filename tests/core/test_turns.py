"""Work in turns: in order, complete, and others have theirs."""

from __future__ import annotations

import asyncio

from waybill.core.turns import count_in_turns, in_parts, in_turns


async def test_others_have_a_turn_between_two_pieces() -> None:
    seen: list[object] = []

    async def other() -> None:
        while True:
            seen.append("other")
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    async for some in in_turns(range(5), 2):
        seen += [list(some)]
    task.cancel()
    assert seen == [[0, 1], "other", [2, 3], "other", [4]]


async def test_what_is_few_comes_at_once_and_counts_are_complete() -> None:
    assert [list(some) async for some in in_turns([1, 2], 2)] == [[1, 2]]
    assert [list(some) async for some in in_turns("", 2)] == []
    assert await count_in_turns(["a"] * 100_000 + ["b"]) == {"a": 100_000, "b": 1}


def test_parts_are_in_order_and_complete_however_many_things_there_are() -> None:
    assert list(in_parts(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(in_parts(iter("ab"), 2)) == [["a", "b"]]
    assert list(in_parts("", 2)) == []
