"""The pages in a real browser: keys, the editor, a file; no error, no foreign request.

Needs Playwright and a Chromium on the PATH (or CHROMIUM_BIN).
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.patience import wait_until
from tests.web.conftest import Client, opened, pattern, settings_for, share
from waybill.core.pattern import pattern_id
from waybill.web.store.corrections import export

playwright = pytest.importorskip("playwright.async_api")
CHROMIUM = os.environ.get("CHROMIUM_BIN") or shutil.which("chromium")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: install it, or set CHROMIUM_BIN"),
]
ORDER = "order <id> rejected by partner 0"
HOSTILE = '"><script>window.broken=1</script><img src=x onerror="window.broken=1"> \u202e <id>'


#: What Playwright gives a Chromium that it starts itself, as far as our pages can tell.
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--no-startup-window",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-component-update",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


@functools.cache
def _chromium() -> str:
    """The address of one Chromium for all tests of this process: starting it costs more than most."""
    folder = tempfile.mkdtemp(prefix="waybill-chromium-")
    started = subprocess.Popen(
        [str(CHROMIUM), *_FLAGS, f"--user-data-dir={folder}"], stderr=subprocess.DEVNULL
    )

    def stop() -> None:
        started.terminate()
        started.wait()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    told = Path(folder) / "DevToolsActivePort"

    def says_its_port() -> bool:
        assert started.poll() is None, "chromium does not start"
        return told.exists() and told.read_text().strip() != ""

    wait_until(says_its_port)
    return f"http://127.0.0.1:{told.read_text().split()[0]}"


@asynccontextmanager
async def browsing(client: Client, *expected: str, **options: object) -> AsyncIterator[Any]:
    """A page that fails the test on any error, and on any request to somebody else.

    What the browser says with one of ``expected`` in it is no fault.
    """
    faults: list[str] = []
    address = client.running.address
    async with playwright.async_playwright() as engine:
        browser = await engine.chromium.connect_over_cdp(await asyncio.to_thread(_chromium))
        context = await browser.new_context(**options)
        page = await context.new_page()
        page.set_default_timeout(60_000)  # a busy machine is no fault of the page
        page.on("console", lambda one: faults.append(f"{page.url}: {one.text}")
                if one.type == "error" and not any(map(one.text.count, expected)) else None)  # fmt: skip
        page.on("pageerror", lambda one: faults.append(str(one)))
        page.on("request", lambda one: None if one.url.startswith((address, "data:"))
                else faults.append(f"foreign: {one.url}"))  # fmt: skip
        yield page
        assert not await page.evaluate("window.broken"), "log text ran as a script"
        await context.close()
        await browser.close()
    assert faults == []


async def fill(client: Client) -> None:
    now = time.time()
    await client.put(
        pattern(ORDER, at=now),
        pattern(HOSTILE, at=now, count=50, sources={HOSTILE: 50}),
        pattern("User <id> logged in", share("User Action", 40), count=40, at=now),
    )


async def test_a_wrong_label_takes_three_keys(browser: Client) -> None:
    await fill(browser)
    async with browsing(browser) as page:
        await page.goto(f"{browser.running.address}/p/{pattern_id(ORDER)}")
        for key in ("w", "6", "Enter"):
            await page.keyboard.press(key)
        await page.get_by_text("Recorded:").wait_for()
    body = await browser.running.bench.database.read(export)
    assert b'"label":"Workflow Error"' in body


async def test_the_queue_is_answered_and_undone_by_keys(browser: Client) -> None:
    await fill(browser)
    async with browsing(browser) as page:
        await page.goto(f"{browser.running.address}/review")
        first = page.locator(f"#item-{pattern_id(ORDER)}")
        await first.wait_for()
        await page.keyboard.press("6")
        await page.locator(f"#item-{pattern_id(HOSTILE)}").wait_for()
        await page.keyboard.press("u")
        await page.get_by_text("Taken back.").wait_for()
    assert len((await browser.running.bench.database.read(export)).splitlines()) == 2


async def test_a_rule_is_drafted_tried_applied_and_undone(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "10-own.yaml").write_text("rules: []\n")
    settings = settings_for(tmp_path, folder=str(own), apply="folder")
    rules = msgspec.structs.replace(settings.rules, extra_paths=(str(own),))
    async with opened(msgspec.structs.replace(settings, rules=rules)) as client:
        await fill(client)
        async with browsing(client) as page:
            await page.goto(f"{client.running.address}/patterns/{pattern_id(ORDER)}")
            await page.keyboard.press("r")
            await page.locator(".cm-content").wait_for()
            await page.get_by_text("samples pass").wait_for()
            await page.get_by_role("button", name="Try").click()
            await page.locator("#trial-head").wait_for()
            assert "100" in await page.locator("#trial-head").inner_text()
            await page.get_by_role("button", name="Write it into the folder").click()
            await page.get_by_text("Recorded.").wait_for()
            assert "Workflow Error" in (own / "50-workbench.yaml").read_text()
            await page.get_by_role("button", name="Undo").click()
            await page.get_by_text("On its way: it takes back").wait_for()
    assert not (own / "50-workbench.yaml").exists()


async def test_a_file_is_dropped_labelled_and_taken_away(tmp_path: Path) -> None:
    table = tmp_path / "logs.csv"
    table.write_text("source,message\nshop,disk 7 is full\nshop,kernel panic\n")
    settings = settings_for(tmp_path)
    async with opened(settings) as client, browsing(client, accept_downloads=True) as page:
        await page.goto(f"{client.running.address}/csv")
        await page.locator("#file").set_input_files(str(table))
        await page.get_by_text("2 rows with their labels").wait_for()
        await page.get_by_role("button", name=re.compile("^Label")).click()
        link = page.get_by_role("link", name="Download")
        await link.wait_for(timeout=120_000)
        assert "finished" in await page.get_by_role("heading", name="logs.csv").inner_text()
        async with page.expect_download() as download:
            await link.click()
        saved = await (await download.value).path()
        lines = Path(saved).read_text().splitlines()
    assert lines[0].startswith("source,message,target_label")
    assert "Critical Error" in lines[1]
