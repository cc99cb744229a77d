"""Files that are sent: their number, their names, a full disk, workbooks that are bombs."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import aiohttp
import pytest
from aiohttp import BodyPartReader, web
from msgspec.structs import replace

from tests.web.conftest import Client, opened, settings_for
from tests.web.test_files import send
from tests.wire.test_workbook_limits import BOMBS
from waybill.core.errors import UploadError
from waybill.web.views import tables

NAMES = [
    "../../../etc/passwd",
    "..\\..\\x.csv",
    "..",
    "   ",
    "-rf.csv",
    "a\u202egnp.csv",
    "\u2066x\u2069\u200b.csv",
    'a"b\'c<img src=x onerror="window.broken=1">.csv',
    "%2e%2e%2fx.csv",
    "\U0001f525 = +1.csv",
    "x" * 3000 + ".csv",
    "a.{csv,$(id)}",
]


@pytest.fixture(name="pages")
async def _pages(tmp_path: Path) -> AsyncIterator[Client]:
    settings = settings_for(tmp_path)
    few = replace(settings.workbench, upload_files=len(NAMES))
    async with opened(replace(settings, workbench=few)) as client:
        yield client


async def refusal(pages: Client, name: str = "a.csv", data: bytes = b"log\nx\n") -> tuple[int, str]:
    """What is answered to a file that is not taken."""
    form = aiohttp.FormData()
    form.add_field("form_token", await pages.token())
    form.add_field("file", data, filename=name)
    async with pages.session.post(pages.running.address + "/csv", data=form) as reply:
        return reply.status, await reply.text()


async def test_names_lead_nowhere_and_files_are_bounded(pages: Client) -> None:
    jobs = pages.running.bench.jobs
    places = [await send(pages, name, b"log\nx\n") for name in NAMES]
    for job in await jobs.newest():
        assert jobs.source(job).parent == jobs.folder(job)
        assert re.fullmatch(r"in[^/\\]{0,16}", jobs.source(job).name)
        assert 0 < len(job.name) <= 200
        assert not re.search(r"[/\\\x00-\x1f\u202e]", job.name)
    _, page = await pages.get("/csv")
    assert "<img" not in page
    assert ">-rf.csv</a>" in page
    status, words = await refusal(pages)
    assert (status, "[too_many_files]" in words, "workbench.upload_files" in words) == (
        507,
        True,
        True,
    )
    _, page = await pages.send(f"{places[0]}/delete", {})
    assert "The file was deleted." in page
    assert (await pages.get(places[0]))[0] == 404
    assert len(list(jobs._folder.iterdir())) == len(NAMES) - 1
    await send(pages, "one more.csv", b"log\nx\n")


async def test_a_disk_that_is_full_is_told(pages: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = pages.running.bench.jobs
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "source", lambda _: Path("/dev/full"))
        status, words = await refusal(pages)
    assert status == 507
    assert words == (
        "The file cannot be kept beside workbench.store: No space left on device; nothing was "
        "kept. [disk_full]\n"
    )
    assert await jobs.newest() == []
    assert list(jobs._folder.iterdir()) == []
    jobs._folder.rmdir()
    jobs._folder.write_text("in the way")
    status, words = await refusal(pages)
    assert (status, "[not_written]" in words) == (507, True)
    async with pages.session.post(pages.running.address + "/csv", data={"a": "b"}) as reply:
        assert reply.status == 415
    _, told = await pages.get("/metrics")
    for reason in ("disk_full", "not_written", "form"):
        assert f'waybill_workbench_uploads_refused_total{{reason="{reason}"}} 1.0' in told
    assert 'waybill_workbench_sidecars{state="answering"} 0.0' in told


@pytest.mark.parametrize(
    ("code", "to_do"),
    [
        ("ratio", "save the sheet as .xlsx or CSV"),
        ("entities", "save the sheet as .xlsx or CSV"),
        ("not_a_workbook", "send one of those"),
    ],
)
async def test_a_bomb_is_refused_with_its_code(pages: Client, code: str, to_do: str) -> None:
    job = await send(pages, "a.xlsx", BOMBS[code])
    _, page = await pages.get(job)
    assert f"[{code}]" in page
    assert to_do in page


async def test_files_that_are_being_sent_count_and_leave_their_place(pages: Client) -> None:
    room = pages.running.bench.jobs.room
    async with contextlib.AsyncExitStack() as stack:
        for _ in NAMES:
            await stack.enter_async_context(room.place())
        status, words = await refusal(pages)
        assert (status, "are being sent" in words) == (507, True)
    assert (await refusal(pages))[0] == 200


async def test_a_file_of_unknown_size_stops_before_the_disk_is_full(
    pages: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = pages.running.bench.jobs
    job = jobs.new("a.csv", "ann")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"log\n"

    monkeypatch.setattr("waybill.web.jobs._LOOK_BYTES", 8)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
    with pytest.raises(UploadError, match="disk_full"):
        await jobs.receive(job, chunks())
    assert not jobs.folder(job).exists()


async def test_a_file_that_drips_is_given_up() -> None:
    class Drips:
        async def read_chunk(self, _: int) -> bytes:
            await asyncio.Event().wait()
            return b""

    with pytest.raises(web.HTTPRequestTimeout):
        await tables._next_chunk(cast("BodyPartReader", Drips()), 0)
    now = time.monotonic()
    assert 59 < tables._patience(now, 0) <= 60
    assert tables._patience(now - 100, 10 << 10) == 0
    assert tables._patience(now - 100, 1 << 20) > 60


async def test_a_clock_that_is_ahead_makes_no_file_old(tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"log\nfailed\n"

    async with opened(settings_for(tmp_path)) as client:
        jobs = client.running.bench.jobs
        job = jobs.new("a.csv", "ann")
        await jobs.receive(job, chunks())
        folder = jobs.folder(job)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: 4e9)
        async with opened(settings_for(tmp_path)) as client:  # it looks for old ones at its start
            for path in ("/", "/tables"):
                await client.get(path)
            assert folder.exists()
            await client.running.bench.jobs.forget_old()
    assert not folder.exists()
