"""What a page does while it waits, and with an answer that refuses, in a real browser."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.web.conftest import Client, pattern
from tests.web.test_browser import browsing, pytestmark
from waybill.core.pattern import pattern_id

__all__ = ["pytestmark"]

MASK = "disk 0 of <id> is worn"


async def change_page(browser: Client) -> str:
    """The address of a page of which a part is asked for every two seconds."""
    await browser.put(pattern(MASK, at=time.time()))
    await browser.send(f"/patterns/{pattern_id(MASK)}/correct", {"label": "Error"})
    await browser.send("/corrections/apply", {})
    return f"{browser.running.address}/changes/1"


@pytest.mark.parametrize(
    ("status", "kind", "body", "says"),
    [
        (400, "text/plain", "The form is none.\n<b id=evil>x</b>", "The form is none."),
        (401, "text/html", "<html><h1 id=evil>Log in</h1></html>", "You are logged out"),
        (404, "text/html", "<div id=spread><b id=evil>gone</b></div>", "No answer since"),
        (502, "text/html", "<html><div id=spread><b id=evil></b></div></html>", "No answer since"),
        (503, "text/plain; charset=utf-8", "", "No answer since"),
    ],
)
async def test_a_refusal_never_takes_the_place_of_what_is_shown(
    browser: Client, status: int, kind: str, body: str, says: str
) -> None:
    where = await change_page(browser)
    async with browsing(browser, f"the server responded with a status of {status}") as page:
        await page.goto(where)
        shown = await page.locator("#spread").inner_text()
        assert shown.strip()

        async def refuse(route: Any) -> None:
            await route.fulfill(status=status, content_type=kind, body=body)

        await page.route("**/changes/1", refuse)
        await page.locator("#silent", has_text=says).wait_for()
        assert await page.locator("#spread").inner_text() == shown
        assert await page.locator("#evil").count() == 0
        await page.unroute("**/changes/1")
        await page.locator("#silent").wait_for(state="hidden")


async def test_a_bar_runs_while_an_answer_is_awaited(browser: Client) -> None:
    where = await change_page(browser)
    asked, answer = asyncio.Event(), asyncio.Event()
    async with browsing(browser) as page:
        await page.goto(where)

        async def hold(route: Any) -> None:
            asked.set()
            await answer.wait()
            await route.continue_()

        await page.route("**/changes/1", hold)
        async with asyncio.timeout(60):
            await asked.wait()
        await page.locator("body[aria-busy=true]").wait_for()
        bar = "getComputedStyle(document.body, '::before').content"
        assert await page.evaluate(bar) != "none"
        answer.set()
        # In one look: the page asks again every two seconds.
        calm = f"() => !document.body.hasAttribute('aria-busy') && {bar} === 'none'"
        await page.wait_for_function(calm)
