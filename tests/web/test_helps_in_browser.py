"""Search with the arrows, a preview, a shared trial and a compact form, in a real browser."""

from __future__ import annotations

import time
from pathlib import Path

from tests.web.conftest import Client, opened, pattern
from tests.web.test_access import overflow
from tests.web.test_browser import browsing, pytestmark
from tests.web.test_labellings import TAX, severity_in
from waybill.core.pattern import pattern_id

__all__ = ["pytestmark"]

MASK = "disk 0 of <id> is worn"


async def test_helps_work_by_keys_and_links(browser: Client) -> None:
    await browser.put(pattern(MASK, at=time.time()))
    where = browser.running.address
    async with browsing(browser) as page:
        await page.goto(f"{where}/patterns")
        await page.keyboard.press("j")
        await page.keyboard.press("v")
        await page.locator("#preview").wait_for()
        assert f"sel={pattern_id(MASK)}" in page.url
        await page.keyboard.press("Escape")
        await page.locator("#preview").wait_for(state="detached")
        await page.keyboard.press("/")
        await page.keyboard.type("worn")
        await page.locator("#found a").first.wait_for()
        assert await page.locator("#search").get_attribute("aria-expanded") == "true"
        await page.keyboard.press("Escape")
        assert await page.locator("#found").is_hidden()
        await page.keyboard.type(" ")
        await page.locator("#found a").first.wait_for()
        await page.keyboard.press("ArrowDown")
        for width in (320, 768, 1280):
            await page.set_viewport_size({"width": width, "height": 800})
            assert await overflow(page) <= 0
        chosen = await page.locator("#search").get_attribute("aria-activedescendant")
        assert await page.locator(f"#{chosen}").get_attribute("aria-selected") == "true"
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/patterns/{pattern_id(MASK)}")
        await page.get_by_role("button", name="Compact").click()
        await page.reload()
        assert await page.locator("html").get_attribute("data-density") == "compact"
        await page.goto(f"{where}/try#lines=User%20U17%20logged%20in&source=crm")
        await page.locator("u.hit").wait_for()
        assert await page.locator("#source").input_value() == "crm"
        await page.get_by_role("button", name="Share").click()
        await page.get_by_text("anyone who gets it can read them").wait_for()
        assert page.url.endswith("#lines=User%20U17%20logged%20in&source=crm")


async def test_one_labelling_looks_chosen(tmp_path: Path) -> None:
    async with opened(severity_in(tmp_path)) as client, browsing(client) as page:
        await page.goto(f"{client.running.address}/?{TAX}")
        ground = "(all) => all.map((one) => getComputedStyle(one).backgroundColor)"
        links = page.get_by_role("navigation", name="Labelling").get_by_role("link")
        first, second = await links.evaluate_all(ground)
        assert first != second
