"""What was typed stays while the workbench is away, the page says so, and it is sent afterwards."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.web.conftest import Client, pattern
from tests.web.test_browser import ORDER, browsing, pytestmark
from waybill.core.pattern import pattern_id
from waybill.web.store.corrections import export

__all__ = ["pytestmark"]

#: What Chromium and htmx write to the console of a request that nobody answers.
GONE = ("ERR_INTERNET_DISCONNECTED", "Failed to fetch")


async def type_correction(page: Any, browser: Client) -> None:
    """A note and the label of key 6 on the page of the pattern; it is not sent yet."""
    await page.goto(f"{browser.running.address}/p/{pattern_id(ORDER)}")
    await page.keyboard.press("w")
    await page.locator("#wrong input[name=note]").fill("partner limit")
    await page.keyboard.press("Escape")
    await page.keyboard.press("6")


async def is_kept(page: Any) -> None:
    bar = page.locator("#silent")
    await bar.get_by_text("The workbench does not answer. What you typed stays here").wait_for()
    assert await bar.locator("time").count() == 1
    await page.context.set_offline(False)


async def test_an_answer_of_the_queue_and_its_note(browser: Client) -> None:
    await browser.put(pattern(ORDER, at=time.time()))
    async with browsing(browser, *GONE) as page:
        await page.goto(f"{browser.running.address}/review")
        await page.locator("#note").fill("partner limit")
        await page.context.set_offline(True)
        await page.keyboard.press("Escape")
        await page.keyboard.press("6")
        await is_kept(page)
        assert await page.locator("#note").input_value() == "partner limit"
        await page.keyboard.press("6")
        await page.get_by_text("Saved.").wait_for()
    (line,) = (await browser.running.bench.database.read(export)).splitlines()
    assert b'"partner limit"' in line


async def test_a_correction_and_its_note(browser: Client) -> None:
    await browser.put(pattern(ORDER, at=time.time()))
    async with browsing(browser, *GONE) as page:
        await type_correction(page, browser)
        await page.context.set_offline(True)
        await page.keyboard.press("Enter")
        await is_kept(page)
        await page.keyboard.press("Enter")
        await page.get_by_text("Recorded: Workflow Error").wait_for()
    assert b'"partner limit"' in await browser.running.bench.database.read(export)


async def test_a_rule_that_is_half_typed(browser: Client) -> None:
    await browser.put(pattern(ORDER, at=time.time()))
    async with browsing(browser, *GONE) as page:
        await page.goto(f"{browser.running.address}/rules/edit")
        editor = page.locator(".cm-content")
        await editor.wait_for()
        await page.context.set_offline(True)
        await editor.press("Control+End")
        await page.keyboard.type("# half a ru")
        await page.get_by_text("not saved, trying again").wait_for()
        await page.get_by_role("button", name="Try").click()
        await is_kept(page)
        assert "# half a ru" in await page.locator("#text").input_value()
        await page.get_by_text("draft 1 saved").wait_for()
        await page.get_by_role("button", name="Try").click()
        await page.locator("#trial-head").wait_for()
        assert "# half a ru" in await page.locator("#text").input_value()


async def test_a_text_in_this_tab_alone_is_not_left_unasked(browser: Client) -> None:
    async with browsing(browser, *GONE) as page:
        await page.goto(f"{browser.running.address}/rules/edit")
        await page.locator(".cm-content").press("Control+End")
        await page.context.set_offline(True)
        await page.keyboard.type("# half a ru")
        await page.get_by_text("not saved, trying again").wait_for()
        async with page.expect_event("dialog") as asked:
            leaving = asyncio.create_task(page.evaluate("location.reload()"))
        dialog = await asked.value
        assert dialog.type == "beforeunload"
        await dialog.dismiss()
        await leaving
        assert "# half a ru" in await page.locator("#text").input_value()
        await page.context.set_offline(False)
        await page.get_by_text("draft 1 saved").wait_for()
        await page.goto(f"{browser.running.address}/drafts/1")
        assert "# half a ru" in await page.locator("#text").input_value()


async def test_ticks_of_a_list_stay_when_nobody_answers(browser: Client) -> None:
    await browser.put(pattern(ORDER, at=time.time()))
    async with browsing(browser, *GONE) as page:
        await page.goto(f"{browser.running.address}/patterns")
        for key in ("j", "x", "6"):
            await page.keyboard.press(key)
        await page.context.set_offline(True)
        await page.keyboard.press("Enter")
        await page.locator("#silent").get_by_text("No answer since").wait_for()
        assert await page.locator("input[name=id]:checked").count() == 1
        await page.context.set_offline(False)
        await page.locator("[data-send]").click()
        await page.get_by_text("Corrected 1 pattern to Workflow Error").wait_for()
