"""What goes on beside the work goes on whatever happens."""

from __future__ import annotations

import ast
import asyncio
import re
from pathlib import Path

import pytest

from tests.patience import until
from waybill.core import again
from waybill.core.again import again_and_again
from waybill.ops.watch import FolderWatch

SOURCES = Path(__file__).parents[2] / "sidecar" / "waybill"


async def test_an_error_ends_one_turn_and_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(again, "_REST_SECS", 0)
    turns = 0

    async def work() -> None:
        nonlocal turns
        turns += 1
        await asyncio.sleep(0)
        if turns < 3:
            raise ZeroDivisionError

    task = asyncio.create_task(again_and_again("sweeping", work))
    await until(lambda: turns >= 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [record.message for record in caplog.records] == [
        "sweeping failed for no known reason; it is tried again"
    ] * 2


async def test_a_change_whose_reload_fails_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "_REST_SECS", 0)
    marks, seen = ["one"], list[str]()

    async def reload() -> None:
        seen.append(marks[-1])
        if len(seen) == 1:
            raise ZeroDivisionError

    watch = FolderWatch([tmp_path], lambda: marks[-1], reload, 0.01)
    await watch.start("one")
    try:
        marks.append("two")
        await until(lambda: len(seen) == 2)
        marks.append("three")
        await until(lambda: len(seen) == 3)
    finally:
        await watch.stop()
    assert seen == ["two", "two", "three"]


def test_nothing_that_goes_on_for_ever_ends_with_an_error() -> None:
    """A task whose loop sleeps is one that nobody waits for: it must not end unseen."""
    found = [
        f"{file.relative_to(SOURCES)}:{loop.lineno}"
        for file in SOURCES.rglob("*.py")
        if file.relative_to(SOURCES).parts[0] not in ("cli", "learn")
        for function in ast.walk(ast.parse(file.read_text()))
        if isinstance(function, ast.AsyncFunctionDef)
        for loop in ast.walk(function)
        if isinstance(loop, ast.While) and ast.unparse(loop.test) == "True"
        if "asyncio.sleep" in ast.unparse(loop)
        if not re.search("return|break|except Exception", ast.unparse(loop))
    ]
    assert found == []
