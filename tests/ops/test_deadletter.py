"""The dead-letter folder: bounded whoever writes there, and never in the way."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.patience import patience
from waybill.core.errors import ConfigError
from waybill.ops.deadletter import DeadLetters, _Kept, prepare_folder
from waybill.ops.folder_room import FolderRoom
from waybill.ops.metrics import Metrics
from waybill.settings.schema import DeadLetterSettings

#: What a small body takes: a block for itself and one for its note.
PAIR = 8192


def letters(folder: Path, max_bytes: int, metrics: Metrics | None = None) -> DeadLetters:
    settings = DeadLetterSettings(path=str(folder), max_bytes=max_bytes)
    return DeadLetters(settings, metrics or Metrics("0"))


def kept_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*-*"))


def used(folder: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in kept_in(folder))


def test_a_dead_letter_folder_that_cannot_be_written_is_found_at_the_start(tmp_path: Path) -> None:
    prepare_folder(DeadLetterSettings(path=None))
    prepare_folder(DeadLetterSettings(path=str(tmp_path / "new" / "dead")))
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "dead"]
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"dead_letter\.path: cannot write to"):
        prepare_folder(DeadLetterSettings(path=str(tmp_path / "file" / "dead")))


async def test_dead_letters_are_kept_up_to_the_bound(tmp_path: Path) -> None:
    """Small ones count as what they take of a disk, and their notes count."""
    metrics, folder = Metrics("0"), tmp_path / "dead"
    kept = letters(folder, 2 * PAIR, metrics)
    assert [
        await kept.keep(b"12345", "not_json"),
        await kept.keep(b"12345", "not_json"),
        await kept.keep(b"1", "x"),
    ] == [True, True, False]
    again = letters(folder, 2 * PAIR, metrics)
    assert not await again.keep(b"123456789", "after a restart")
    assert len(kept_in(folder)) == 4
    assert (
        metrics.registry.get_sample_value("waybill_dead_letter_bodies_total", {"outcome": "full"})
        == 2
    )


async def test_all_who_write_to_a_folder_keep_its_bound_together(tmp_path: Path) -> None:
    """Workers: each counted for itself, and four of them took two and a half times the bound."""
    folder = tmp_path / "dead"
    workers = [letters(folder, 10 * PAIR) for _ in range(4)]
    for worker in workers:
        assert await worker.keep(b"first", "not_json")
    kept = await asyncio.gather(
        *(worker.keep(os.urandom(4096), "not_json") for worker in workers * 10)
    )
    assert sum(kept) == 6
    assert len(kept_in(folder)) == 20
    assert used(folder) <= 10 * PAIR


def test_what_is_taken_and_not_written_yet_is_found_by_who_looks(tmp_path: Path) -> None:
    claimed = tmp_path / "a"
    assert FolderRoom(tmp_path, PAIR).take(PAIR, lambda: claimed.write_bytes(bytes(PAIR)))
    assert not FolderRoom(tmp_path, PAIR).take(1)


def test_a_body_under_way_takes_its_whole_room(tmp_path: Path) -> None:
    kept = _Kept(tmp_path, FolderRoom(tmp_path, 2 * PAIR))
    kept.begin("one")
    assert kept.add(b"12345")
    assert not FolderRoom(tmp_path, 2 * PAIR - 1).take(PAIR)  # its note is not written yet
    assert kept.end("not_json", ())
    assert (tmp_path / "one.body").read_bytes() == b"12345"
    assert json.loads((tmp_path / "one.json").read_bytes())["bytes"] == 5


async def test_room_that_somebody_made_is_found(tmp_path: Path) -> None:
    folder, now = tmp_path / "dead", [0.0]
    folder.mkdir()
    room = FolderRoom(folder, 2 * PAIR, lambda: now[0])
    for name in "ab":
        assert room.take(PAIR)
        (folder / name).write_bytes(bytes(PAIR))
    assert not room.take(1)
    (folder / "a").unlink()
    now[0] = 60
    assert room.take(PAIR)
    assert not room.take(1)
    (folder / ".count").write_bytes(b"no number")
    assert room.take(PAIR)  # what was taken and never written is nothing


def test_a_link_in_the_place_of_the_count_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(b"theirs")
    folder = tmp_path / "dead"
    folder.mkdir()
    (folder / ".count").symlink_to(tmp_path / "theirs")
    with pytest.raises(OSError):
        FolderRoom(folder, PAIR).take(1)
    assert (tmp_path / "theirs").read_bytes() == b"theirs"


async def test_bodies_that_stall_take_no_more_of_the_folder_than_its_bound(tmp_path: Path) -> None:
    folder = tmp_path / "dead"
    kept = letters(folder, 30 * 4096)
    stalled = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * 40_000
        await stalled.wait()

    tasks = [asyncio.create_task(kept.keep_stream(pieces(), "too_large")) for _ in range(8)]
    while sum(task.done() for task in tasks) < 5:
        await asyncio.sleep(0.01)
    assert used(folder) <= 30 * 4096
    stalled.set()  # one of the others has room for its note only if the bound leaves it
    await asyncio.gather(*tasks)
    assert used(folder) <= 30 * 4096


async def test_who_leaves_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "dead"
    kept = letters(folder, 30 * 4096)
    stalled = asyncio.Event()
    began = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal began
        yield b"x" * 40_000
        began += 1
        await stalled.wait()

    tasks = [asyncio.create_task(kept.keep_stream(pieces(), "too_large")) for _ in range(2)]
    while began < 2:
        await asyncio.sleep(0.01)
    async with patience():  # nobody waits for them
        assert await kept.keep(b"x" * 100, "not_json")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [file.suffix for file in kept_in(folder)] == [".body", ".json"]
    assert await kept.keep(b"x" * 4096 * 26, "not_json")
    assert not await kept.keep(b"x", "not_json")


async def test_a_dead_letter_folder_that_cannot_be_written_is_counted(tmp_path: Path) -> None:
    metrics = Metrics("0")
    (tmp_path / "file").write_text("")
    assert not await letters(tmp_path / "file", PAIR, metrics).keep(b"x", "r")
    assert not await DeadLetters(DeadLetterSettings(), metrics).keep(b"x", "r")
    for outcome in ("failed", "off"):
        assert (
            metrics.registry.get_sample_value(
                "waybill_dead_letter_bodies_total", {"outcome": outcome}
            )
            == 1
        )
