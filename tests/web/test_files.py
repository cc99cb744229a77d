"""The CSV page: what is found is said and can be overruled; the bytes are those of the command."""

from __future__ import annotations

import asyncio
import functools
import gzip
import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from tests.patience import patience
from tests.web.conftest import Client, opened, settings_for
from waybill.cli.main import main
from waybill.core.errors import UploadError
from waybill.core.pattern import pattern_id
from waybill.settings.schema import Settings
from waybill.web.job import Job, Options
from waybill.web.rendering import page
from waybill.web.store.jobs import JobRow, save_job
from waybill.web.views import tables

TABLE = "source,message,n\nshop,User 1 logged in,1\nshop,zxqv 17 blorp,2\nshop,zxqv 18 blorp,3\n"


@pytest.fixture(name="few_rules")
def _few_rules(tmp_path: Path) -> Settings:
    return settings_for(tmp_path)


@pytest.fixture(name="pages")
async def _pages(few_rules: Settings) -> AsyncIterator[Client]:
    async with opened(few_rules) as client:
        yield client


async def send(pages: Client, name: str, data: bytes, query: str = "") -> str:
    """Send a file as the form does; the address of its job."""
    form = aiohttp.FormData()
    form.add_field("form_token", await pages.token())
    form.add_field("file", io.BytesIO(data), filename=name)
    async with pages.session.post(f"{pages.running.address}/csv?{query}", data=form) as reply:
        assert reply.status == 200, await reply.text()
        return reply.url.path


async def until(pages: Client, job: str, *states: str, query: str = "") -> dict[str, object]:
    """Wait for a state; what is told of it."""
    async with patience():
        while True:
            _, text = await pages.get(f"{job}.json?{query}")
            told: dict[str, object] = json.loads(text)
            if told["state"] in states:
                return told
            await asyncio.sleep(0.05)


async def labelled(pages: Client, job: str, **fields: str) -> bytes:
    """Label a job with these settings; the file that comes of it."""
    await pages.send(f"{job}/run", fields and {"has_details": "1", **DETAILS, **fields})
    told = await until(pages, job, "finished", "failed")
    assert told["state"] == "finished", told
    async with pages.session.get(f"{pages.running.address}{job}/result") as reply:
        return await reply.read()


DETAILS = {f"detail_{name}": "1" for name in ("confidence", "tier", "reason", "rule")}


def workbook() -> bytes:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["n"])
    sheet = book.create_sheet("Logs")
    sheet.append(["message", "n"])
    sheet.append(["disk 5 is full", 1])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


FILES: dict[str, tuple[bytes, dict[str, str], list[str]]] = {
    "a.csv": (TABLE.encode(), {}, []),
    "c.tsv": ("message\tn\nHerr Müller\t1\n".encode("utf-16"), {}, []),
    "d.csv.gz": (gzip.compress(TABLE.encode(), mtime=0), {}, []),
    "e.ndjson": (b'{"log":"disk 5 is full"}\nno json\n', {}, []),
    "g.xlsx": (b"", {"sheet": "Logs"}, ["--sheet", "Logs"]),
    "h.csv": (
        b"1,disk 5 is full,x\n2,zxqv,y\n",
        {"head": "none", "message": "2", "source_text": "shop"},
        ["--head", "none", "--message-column", "2", "--source", "shop"],
    ),
    "i.csv": (
        b"log,target_label\ndisk 5 is full,Error\n'x,\n\"y,\n,z\n",
        {"known": "replace", "on_message": "skip", "quote": "double"},
        ["--known-labels", "replace", "--on-error", "message=skip", "--quote", "double"],
    ),
}


async def test_the_bytes_are_those_of_the_command(
    pages: Client, few_rules: Settings, tmp_path: Path
) -> None:
    for name, (data, fields, flags) in FILES.items():
        content = data or workbook()
        job = await send(pages, name, content)
        got = await labelled(pages, job, **fields)
        (tmp_path / name).write_bytes(content)
        target = tmp_path / f"{name}.out"
        rules = f"rules.path={few_rules.rules.path}"
        flags += ["--set", rules, "--set", "model.path=null", "--quiet"]
        main(["label", str(tmp_path / name), "-o", str(target), *flags])
        assert got == target.read_bytes(), name


async def test_what_is_found_has_its_evidence(pages: Client) -> None:
    job = await send(pages, "a.csv", "text;n\nHerr Müller;1\nüber;2;3\n".encode("cp1252"))
    _, text = await pages.get(job)
    assert "found: ;" in text
    assert "in 1 of 2 rows, 2 columns each" in text
    assert "found: cp1252" in text
    assert "reads Müller" in text
    assert "row 2 (line 3): 3 cells where the head has 2" in text
    assert "found: text" in text
    _, text = await pages.send(f"{job}/options", {"message": "nowhere"})
    assert "no column is called &#39;nowhere&#39;" in text
    _, text = await pages.send(f"{job}/options", {"quote": "single", "has_details": "1"})
    assert "found: ;" in text


async def test_a_table_without_a_head_is_read_by_its_content(pages: Client) -> None:
    rows = "".join(f"{n},order {n} was rejected by the partner,x\n" for n in range(9))
    job = await send(pages, "a.csv", rows.encode())
    _, text = await pages.get(job)
    assert "has the longest texts" in text
    assert "the first row reads like those behind it" in text
    got = await labelled(pages, job)
    assert got.startswith(b"0,order 0 was rejected")
    job = await send(pages, "b.csv", b"a,b\n1,order was rejected by us\n2,disk 5 is full\n")
    await pages.get(job)
    assert b"disk 5 is full,Critical Error" in await labelled(pages, job)


async def test_faults_are_named_before_anything_is_done(pages: Client) -> None:
    job = await send(pages, "a.csv", b'log,n\n"a\nb",1\nc\n,1\n"d,1\n')
    async with patience():
        while "All 4 rows were read" not in (text := (await pages.get(job))[1]):
            await asyncio.sleep(0.05)
    assert "row 2 (line 4)" in text
    assert "row 4 (line 6)" in text
    assert "Label 4 rows" in text
    got = await labelled(pages, job, on_cells="skip", on_message="skip")
    assert got.count(b"\n") == 3
    await pages.send(f"{job}/run", {"has_details": "1", "on_quote": "fail"})
    told = await until(pages, job, "failed")
    assert "row 4 (line 6): its quote is never closed" in str(told["failure"])
    _, text = await pages.get(job)
    assert "Start again" in text


async def test_a_page_shows_one_moment_of_a_file_that_is_being_read(
    pages: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await send(pages, "a.csv", b'log,n\n"a\nb",1\nc\n')
    async with patience():
        while "rows were read" not in (await pages.get(job))[1]:
            await asyncio.sleep(0.05)
    found = await pages.running.bench.jobs.find(job.rpartition("/")[2])
    assert found is not None
    found.check = "running"

    async def ended_meanwhile(*args: Any, **values: Any) -> web.StreamResponse:
        found.check = "done"
        return await page(*args, **values)

    monkeypatch.setattr(tables, "page", ended_meanwhile)
    _, text = await pages.get(job)
    assert ("rows were read" in text, "Label the file" in text) == (False, True)
    _, text = await pages.get(job)
    assert ("rows were read" in text, "Label 2 rows" in text) == (True, True)


async def test_an_undecided_pattern_is_corrected_and_the_file_run_again(pages: Client) -> None:
    job = await send(pages, "a.csv", TABLE.replace("shop,User", "=1+1,User").encode())
    first = await labelled(pages, job)
    assert first.count(b"Unclassified") == 2
    _, text = await pages.get(job)
    found = re.search(rf"{job}/patterns/([0-9a-f]{{16}})", text)
    assert found is not None
    _, text = await pages.get(found[0])
    assert "2 rows of this file" in text
    assert found[1] == pattern_id("zxqv 0 blorp")
    _, text = await pages.send(found[0], {"label": "Error"})
    assert "Recorded: Error" in text
    assert "(1 new)" in text
    _, text = await pages.get(f"{job}?change=1")
    assert text.count("correction") >= 2
    again = await labelled(pages, job)
    assert again.count(b",Error,1,correction") == 2
    _, text = await pages.get(f"{job}/result?safe=1")
    assert text.splitlines()[1].startswith("'=1+1,User 1 logged in,")
    assert text.splitlines()[2].startswith("shop,zxqv 17 blorp,2,Error,")


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("a.csv", "{0}\n"),
        ("a.ndjson", '{{"log": "{0}"}}\n'),
        ("a.log", "{0}\n"),
    ],
)
async def test_undecided_rows_are_counted_and_named_whatever_the_format(
    pages: Client, name: str, row: str
) -> None:
    head = "log\n" if name == "a.csv" else ""
    rows = "".join(row.format(f"zxqv {number} blorp") for number in range(3))
    job = await send(pages, name, (head + rows + row.format("User 7 logged in")).encode())
    await labelled(pages, job)
    _, text = await pages.get(job)
    assert "75.0 % undecided" in text
    assert "Most frequent undecided patterns" in text
    assert f"{job}/patterns/{pattern_id('zxqv 0 blorp')}" in text


async def test_a_file_of_another_encoding_is_read_once_it_is_chosen(pages: Client) -> None:
    """What the command advises is said as a page can do it."""
    text = "日時,log\r\n1,ディスク 3 がいっぱいです\r\n2,ユーザーがログインしました\r\n"
    job = await send(pages, "a.csv", text.encode("shift_jis"))
    _, page = await pages.get(job)
    assert "full of control characters" in page
    assert "--" not in re.sub("(?s)<!--.*?-->", "", page)
    assert "store.db-files" not in page
    assert (await pages.get(f"/-{job}/check"))[0] == 200
    _, page = await pages.send(f"{job}/options", {"encoding": "shift_jis"})
    assert "full of control characters" not in page
    assert "ディスク" in page
    assert (await labelled(pages, job)).decode("shift_jis").startswith("日時,log,")


async def test_what_is_too_large_is_refused_in_words(
    few_rules: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = msgspec.structs.replace(few_rules.workbench, upload_bytes=1 << 20)
    settings = msgspec.structs.replace(few_rules, workbench=small)
    async with opened(settings) as pages:
        data = {"form_token": await pages.token(), "file": io.BytesIO(b"x" * (3 << 20))}
        async with pages.session.post(pages.running.address + "/csv", data=data) as reply:
            assert reply.status == 413
            assert "workbench.upload_bytes allows 1 MB" in await reply.text()

        def no_room(_: int) -> None:
            raise UploadError("disk_full", "The disk is full.")

        monkeypatch.setattr(pages.running.bench.jobs.room, "check", no_room)
        data = {"form_token": await pages.token(), "file": io.BytesIO(b"log\nx\n")}
        async with pages.session.post(pages.running.address + "/csv", data=data) as reply:
            assert (reply.status, await reply.text()) == (507, "The disk is full. [disk_full]\n")
        files = Path(f"{settings.workbench.store}-files")
        assert not files.exists() or not list(files.iterdir())


async def test_one_file_is_labelled_others_wait_and_can_be_cancelled(pages: Client) -> None:
    jobs = pages.running.bench.jobs
    async with jobs._slot:
        first = await send(pages, "a.csv", TABLE.encode())
        second = await send(pages, "b.csv", TABLE.encode())
        await pages.send(f"{first}/run", {})
        _, text = await pages.send(f"{second}/run", {})
        assert "Waiting: 1 file comes first" in text
        _, text = await pages.send(f"{second}/cancel", {})
        assert "Cancelled after 0 rows" in text
    assert (await until(pages, first, "finished"))["rows"] == 3
    _, text = await pages.get(second)
    assert "Start again" in text


async def test_old_files_go_and_a_stopped_job_says_so(pages: Client) -> None:
    bench = pages.running.bench
    old = Job("0" * 16, "old.csv", "ann", 0.0)
    stopped = Job("1" * 16, "new.csv", "ann", 4e9, state="running", options=Options())
    for job in (old, stopped):
        (bench.jobs.folder(job)).mkdir(parents=True)
        bench.jobs.source(job).write_bytes(b"log\nx\n")
        row = JobRow(job.id, job.at, job.author, job.name, job.state, msgspec.json.encode(job))
        await bench.database.write(functools.partial(save_job, row=row))
    assert bench.jobs.keep_secs == 86_400
    await bench.jobs.forget_old()
    assert not bench.jobs.folder(old).exists()
    _, text = await pages.get(f"/csv/{'1' * 16}")
    assert "The workbench was stopped" in text
