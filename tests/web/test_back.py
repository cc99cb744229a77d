"""The browser's way back: to a page with what was typed, never to an error of the browser."""

from __future__ import annotations

import time

from tests.web.conftest import Client, pattern
from tests.web.test_away import type_correction
from tests.web.test_browser import ORDER, browsing, pytestmark
from waybill.core.pattern import pattern_id

__all__ = ["pytestmark"]
#: What Chromium writes to the console of a page that a proxy answers in our place.
AWAY = ("502",)


async def test_back_to_lines_that_were_tried(browser: Client) -> None:
    async with browsing(browser) as page:
        await page.goto(f"{browser.running.address}/try")
        await page.locator("textarea").fill("disk 7 is full\nhello")
        await page.get_by_role("button", name="Label").click()
        await page.get_by_role("link", name="Make a rule").last.click()
        await page.locator(".cm-content").wait_for()
        await page.go_back(wait_until="commit")
        await page.get_by_role("heading", name="Try lines").wait_for()
        assert await page.locator("textarea").input_value() == "disk 7 is full\nhello"
        await page.wait_for_function("document.readyState === 'complete'")


async def test_back_to_a_rule_that_was_tried(browser: Client) -> None:
    await browser.put(pattern(ORDER, at=time.time()))
    async with browsing(browser) as page:
        await page.goto(f"{browser.running.address}/rules/edit?from={pattern_id(ORDER)}")
        await page.locator(".cm-content").wait_for()
        await page.get_by_role("button", name="Try").click()
        await page.locator("#trial-head").wait_for()
        await page.get_by_role("link", name="Sources").click()
        await page.get_by_role("heading", name="Sources").wait_for()
        await page.go_back(wait_until="commit")
        await page.locator(".cm-content").wait_for()
        assert page.url.endswith("/drafts/1")
        assert "rejected" in await page.locator("#text").input_value()
        await page.reload()
        assert "rejected" in await page.locator("#text").input_value()


async def test_back_from_a_proxy_that_answers_in_our_place(browser: Client) -> None:
    await browser.put(pattern(ORDER, at=time.time()))
    async with browsing(browser, *AWAY) as page:
        await type_correction(page, browser)
        where = "**/correct*"
        await page.route(where, lambda one: one.fulfill(status=502, body="Bad Gateway"))
        await page.keyboard.press("Enter")
        await page.get_by_text("Bad Gateway").wait_for()
        await page.unroute(where)
        await page.go_back(wait_until="commit")
        note = page.locator("#wrong input[name=note]")
        await note.wait_for()  # in sight, without a press
        assert await note.input_value() == "partner limit"
        await page.keyboard.press("6")
        await page.keyboard.press("Enter")
        await page.get_by_text("Recorded: Workflow Error").wait_for()


async def test_back_to_a_refusal_is_a_page(browser: Client) -> None:
    async with browsing(browser, "404") as page:
        await page.goto(f"{browser.running.address}/csv")
        await page.evaluate(
            """() => { const form = document.createElement('form'); form.method = 'post';
              form.action = '/corrections/0000000000000000/withdraw';
              form.append(document.querySelector('[name=form_token]').cloneNode());
              document.body.append(form); form.requestSubmit(); }"""
        )
        await page.get_by_text("There is no such correction").wait_for()
        await page.get_by_role("link", name="All patterns").click()
        await page.locator("#list").wait_for()
        await page.go_back(wait_until="commit")
        await page.get_by_role("heading", name="No records yet").wait_for()
