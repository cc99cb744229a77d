"""The walks of an SRE and of a team lead in a real browser: their clicks and keys are counted."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.web.conftest import Client, pattern, share
from tests.web.test_browser import CHROMIUM, HOSTILE, browsing
from waybill.core.correction import new_correction
from waybill.core.pattern import pattern_id
from waybill.web.store.corrections import add_correction, export, export_applied

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: install it, or set CHROMIUM_BIN"),
]
ORDER, TWIN = "order <id> rejected by limit of partner 0", "order <id> rejected by limit of shop 0"
LOGIN = "User <id> logged in"


class Hands:
    """Presses and clicks, and counts both."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.keys = 0
        self.clicks = 0

    async def press(self, *keys: str) -> None:
        """Press keys one after another."""
        for key in keys:
            await self.page.keyboard.press(key)
            self.keys += 1

    async def click(self, what: Any) -> None:
        """Click on an element."""
        await what.click()
        self.clicks += 1


async def fill(client: Client) -> None:
    now = time.time()
    await client.put(
        pattern(ORDER, at=now, count=900),
        pattern(TWIN, at=now, count=200),
        pattern(HOSTILE, at=now, count=50, sources={HOSTILE: 50}),
        pattern(LOGIN, share("User Action", 40), count=40, at=now, sources={"web": 40}),
        pattern("half <id>", share("Error", 30), share("HTTP Status", 9), count=39, at=now),
    )
    line = new_correction(LOGIN, "User Action", by=HOSTILE, note=HOSTILE)
    await client.running.bench.database.write(lambda store: add_correction(store, line))
    await client.running.bench.database.write(client.running.bench.collector.groups.renew)


async def test_walk_a_corrects_with_three_keys_and_a_click_and_walk_c_reads_with_three_clicks(
    browser: Client,
) -> None:
    await fill(browser)
    async with browsing(browser) as page:
        hands = Hands(page)
        await page.goto(f"{browser.running.address}/p/{pattern_id(ORDER)}")
        await hands.press("w", "6", "Enter")
        await page.get_by_text("Recorded:").wait_for()
        assert b'"Workflow Error"' in await browser.running.bench.database.read(export)
        assert await browser.running.bench.database.read(export_applied) == b""
        await hands.click(page.locator("[data-apply]"))
        await page.get_by_text("A patch is made").wait_for()
        assert (hands.keys, hands.clicks) == (3, 1)
        assert b'"Workflow Error"' in await browser.running.bench.database.read(export_applied)

        hands = Hands(page)
        await page.goto(f"{browser.running.address}/")
        assert "have a label" in await page.locator(".sentence").inner_text()
        await hands.click(page.locator(".sentence a"))
        await page.get_by_text("active corrections").wait_for()
        await hands.click(page.get_by_role("link", name="Sources"))
        await page.locator("tr[data-row]").first.wait_for()
        await hands.click(page.get_by_role("button", name="Copy link"))
        assert (hands.keys, hands.clicks) == (0, 3)


async def test_a_list_is_worked_by_keys_alone(browser: Client) -> None:
    await fill(browser)
    async with browsing(browser) as page:
        await page.goto(f"{browser.running.address}/patterns?group=0")
        hands = Hands(page)
        await hands.press("j", "w", "6", "Enter")
        await page.get_by_text("Corrected 1 pattern to Workflow Error").wait_for()
        await hands.press("u")
        await page.get_by_text("Taken back").wait_for()
        await hands.press("j", "x", "j", "x")
        assert await page.locator("[data-ticked]").first.inner_text() == "2"
        await hands.press("Escape")
        await hands.press("*")
        assert await page.locator("[data-ticked]").first.inner_text() == "5"
        await hands.press("Escape", "p")
        await page.get_by_text("Frozen at").wait_for()
        await hands.press("p")
        await page.locator("[data-live]").wait_for(state="attached")
        now = time.time()
        await browser.put(pattern("quite new <id>", at=now), node="n-2", at=now + 2)
        await page.locator("#row-" + pattern_id(LOGIN) + " input").check()
        await page.evaluate("document.dispatchEvent(new Event('waybill:look'))")
        await page.get_by_text("1 new").wait_for()
        assert await page.locator("#row-" + pattern_id("quite new <id>")).count() == 0
        await hands.press(".")
        await page.locator("#row-" + pattern_id("quite new <id>")).wait_for()


async def test_the_other_pages_run_nothing_of_the_logs_and_fit(browser: Client) -> None:
    await fill(browser)
    size = {"width": 320, "height": 800}
    async with browsing(browser, viewport=size, color_scheme="dark") as page:
        bad = pattern_id(HOSTILE)
        for path in (f"/patterns/{bad}?tab=history&in=q%3D%3Cb", f"/patterns/{bad}?tab=alike&t=90d",
                     "/patterns?source=-%3Cscript%3E&group=0&add=label&value=%3Cb%3E", "/?t=7d",
                     f"/-/patterns/{bad}/why", "/review?queue=second", "/review?queue=disagree",
                     "/review?blind=1&queue=new", "/rules", "/models", "/corrections",
                     f"/rules/edit?from={bad}"):  # fmt: skip
            await page.goto(browser.running.address + path)
            await page.wait_for_load_state("networkidle")
            wide = await page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert wide <= 0, (path, wide)
            assert await page.locator("h1").count() == 1
