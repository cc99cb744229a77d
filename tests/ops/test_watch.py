"""The watch of a folder ends when it is told to, whatever happens at that moment."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.patience import patience
from waybill.ops.watch import FolderWatch


@pytest.mark.parametrize("turns", range(4))
async def test_a_change_at_the_moment_of_the_stop_keeps_nobody_waiting(
    tmp_path: Path, turns: int
) -> None:
    looks = 0

    def fingerprint() -> str:
        nonlocal looks
        looks += 1
        return ""

    async def changed() -> None:
        raise AssertionError("nothing has changed")

    watch = FolderWatch([tmp_path], fingerprint, changed, poll_secs=3600)
    await watch.start("")
    await asyncio.sleep(0)
    watch._wake.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    async with patience():
        await watch.stop()
    assert looks >= 1
