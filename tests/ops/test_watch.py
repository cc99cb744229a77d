"""The watch of a folder ends when it is told to, whatever happens at that moment."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.patience import patience, until
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


async def test_what_could_not_be_done_yet_is_reported_once_more(tmp_path: Path) -> None:
    answers = iter([True, True, False])
    heard: list[str] = []

    async def changed() -> bool:
        heard.append(marks[-1])
        return next(answers, False)

    marks = ["one"]
    watch = FolderWatch([tmp_path], lambda: marks[-1], changed, poll_secs=0.001)
    await watch.start("none")
    try:
        await until(lambda: len(heard) == 3)
        marks.append("two")
        await until(lambda: len(heard) == 4)
    finally:
        await watch.stop()
    assert heard == ["one", "one", "one", "two"]


async def test_another_reason_why_a_folder_cannot_be_read_is_news(tmp_path: Path) -> None:
    reasons = iter(["pipe", "pipe", "full"])
    looks = asyncio.Event()
    heard: list[str] = []
    last = ""

    def fingerprint() -> str:
        nonlocal last
        last = next(reasons, last)
        raise OSError(last)

    async def changed() -> None:
        heard.append(last)
        if last == "full":
            looks.set()

    watch = FolderWatch([tmp_path], fingerprint, changed, poll_secs=0.001)
    await watch.start("")
    async with patience():
        await looks.wait()
    await watch.stop()
    assert heard == ["pipe", "full"]
