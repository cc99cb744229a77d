"""Times: UTC by the server, the browser's own with a switch that is kept, both in the tooltip."""

from __future__ import annotations

import csv
import io
import re
import time

import pytest

from tests.web.conftest import Client, pattern
from tests.web.test_browser import ORDER, browsing, pytestmark
from waybill.core.pattern import pattern_id
from waybill.web.text import timed

__all__ = ["pytestmark"]

EACH_HOUR = {
    "UTC": [f"0{hour}:00:00 +00:00" for hour in range(4, 9)],
    "Asia/Kolkata": [f"{hour:02}:30:00 +05:30" for hour in range(9, 14)],
    "America/St_Johns": [
        *("01:30:00 -02:30", "01:30:00 -03:30", "02:30:00 -03:30"),
        *("03:30:00 -03:30", "04:30:00 -03:30"),
    ],
}
TOKYO = "Asia/Tokyo"
#: A time of two days ago is written in full.
OLD_SECS = 2 * 86_400
IN_UTC = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")
IN_TOKYO = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+09:00")


def test_a_sentence_with_a_time_is_escaped() -> None:
    told = timed("<b> since 2026-11-27 00:00:01 UTC")
    assert told == (
        '&lt;b&gt; since <time datetime="2026-11-27T00:00:01Z">2026-11-27 00:00:01 UTC</time>'
    )


async def test_times_are_in_utc_until_the_zone_is_switched(browser: Client) -> None:
    now = time.time()
    await browser.put(pattern(ORDER, at=now, first_seen=now - OLD_SECS))
    where = browser.running.address
    async with browsing(browser, timezone_id=TOKYO) as page:
        await page.goto(f"{where}/p/{pattern_id(ORDER)}")
        shown = page.locator("time", has_text=re.compile(r"\d{4}-")).first
        assert IN_UTC.fullmatch(await shown.text_content())
        both = rf"{IN_UTC.pattern} · {IN_TOKYO.pattern} \(Asia/Tokyo\)"
        assert re.fullmatch(both, await shown.get_attribute("title"))
        figure = page.locator("figure").first
        await figure.focus()
        await page.keyboard.press("ArrowLeft")
        assert IN_UTC.match(await figure.locator("[data-said]").text_content())
        await page.get_by_role("button", name="UTC").click()
        assert IN_TOKYO.fullmatch(await shown.text_content())
        await figure.focus()
        await page.keyboard.press("ArrowLeft")
        assert IN_TOKYO.match(await figure.locator("[data-said]").text_content())
        await page.goto(f"{where}/?to=2026-01-01T00:00:00Z")
        frozen = page.get_by_role("link", name=re.compile("^Up to"))
        assert await frozen.text_content() == "Up to 2026-01-01 09:00:00 +09:00: show now"
        await page.get_by_role("button", name="Local").click()
        assert await frozen.text_content() == "Up to 2026-01-01 00:00:00 UTC: show now"


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/St_Johns"])
async def test_a_chart_says_its_zone_and_follows_a_change_of_clocks(
    browser: Client, zone: str
) -> None:
    """In St. John's clocks went back from 02:00 to 01:00 that night, half an hour off UTC's."""
    await browser.put(pattern(ORDER, at=time.time()))
    local = {"name": "waybill_zone", "value": "local", "url": browser.running.address}
    async with browsing(browser, timezone_id=zone) as page:
        await page.context.add_cookies([local])
        await page.goto(f"{browser.running.address}/?to=2026-11-01T08:00:00Z")
        figure = page.locator("figure").first
        told = "(one) => one._chart.axes[0].label"
        # Chromium calls Kolkata as it was called before.
        assert (await figure.evaluate(told)).replace("Calcutta", "Kolkata") == zone
        await figure.focus()
        seen = []
        for _ in range(5):
            await page.keyboard.press("ArrowLeft")
            seen.append((await figure.locator("[data-said]").text_content())[11:26])
        assert seen[::-1] == EACH_HOUR[zone]
        await page.get_by_role("button", name="Local").click()
        assert await figure.evaluate(told) == "UTC"


async def test_a_table_has_its_times_in_utc(browser: Client) -> None:
    await browser.put(pattern(ORDER, first_seen=0.0, last_seen=1_795_210_000.0))
    _, table = await browser.get("/patterns.csv")
    (row,) = csv.DictReader(io.StringIO(table))
    assert row["first_seen"] == "1970-01-01T00:00:00Z"
    assert row["last_seen"] == "2026-11-20T21:26:40Z"
    assert row["mask"] == ORDER


async def test_without_scripts_times_are_in_utc_and_say_so(browser: Client) -> None:
    await browser.put(pattern(ORDER))
    async with browsing(browser, java_script_enabled=False, timezone_id=TOKYO) as page:
        await page.goto(f"{browser.running.address}/patterns")
        assert await page.get_by_text("Times in UTC").is_visible()
        assert not await page.locator("[data-zone-switch]").is_visible()


async def test_a_list_says_that_no_answer_comes_and_stays(browser: Client) -> None:
    await browser.put(pattern(ORDER))
    async with browsing(browser) as page:
        await page.goto(f"{browser.running.address}/patterns")
        await page.evaluate("() => { window.kept = fetch; window.fetch = () => Promise.reject(); }")
        look = "document.dispatchEvent(new Event('waybill:look'))"
        await page.evaluate(look)
        bar = page.locator("#silent")
        await bar.wait_for()
        assert IN_UTC.search(await bar.text_content())
        assert await page.locator("tr[data-row]").count() == 1
        await page.evaluate("() => { window.fetch = window.kept; }")
        await page.evaluate(look)
        await bar.wait_for(state="hidden")
        await page.goto(f"{browser.running.address}/changes")
        await page.evaluate("() => { window.fetch = () => Promise.reject(new Error('gone')); }")
        await page.evaluate("document.dispatchEvent(new CustomEvent('htmx:error'))")
        assert await bar.is_visible()
