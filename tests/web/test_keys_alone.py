"""The three walks by keys alone: no pointer, and not one press of Tab. The keys are counted."""

from __future__ import annotations

import csv
import re
import time
from pathlib import Path
from typing import Any

import msgspec

from tests.web.conftest import Client, opened, pattern, settings_for, share
from tests.web.test_browser import browsing, pytestmark
from tests.web.test_walks import LOGIN, ORDER, Hands
from waybill.core.correction import new_correction
from waybill.core.pattern import pattern_id
from waybill.web.store.corrections import add_correction, export_applied

__all__ = ["pytestmark"]

TABLE = "source,message\nshop,zxqv 17 blorp\nshop,User U17 logged in\n"


async def appears(page: Any, what: Any) -> None:
    """It is there, and so are the scripts: a key that is pressed before them is lost."""
    await what.wait_for()
    await page.wait_for_load_state("networkidle")


async def goes(hands: Hands, address: str, *keys: str) -> None:
    """The keys lead to a page, and its scripts run."""
    await hands.press(*keys)
    await hands.page.wait_for_url(re.compile(re.escape(address) + "(?:[/?].*)?$"))
    await hands.page.wait_for_load_state("networkidle")


async def label_of(where: Path, message: str) -> str:
    with where.open(newline="", encoding="utf-8") as table:
        (found,) = [row for row in csv.DictReader(table) if row["message"] == message]
    return found["target_label"]


async def downloaded(hands: Hands) -> Path:
    async with hands.page.expect_download() as told:
        await hands.press("d")
    return Path(await (await told.value).path())


async def finished(page: Any) -> None:
    await appears(page, page.locator("#state", has_text="finished"))
    await page.get_by_role("link", name="Download").wait_for()


async def test_a_wrong_label_is_corrected_and_the_correction_applied(browser: Client) -> None:
    await browser.put(pattern(ORDER, at=time.time()))
    async with browsing(browser) as page:
        hands = Hands(page)
        await page.goto(f"{browser.running.address}/p/{pattern_id(ORDER)}")
        await hands.press("w", "6", "Enter")
        await appears(page, page.get_by_text("Recorded:"))
        await hands.press("Shift+A")
        await page.get_by_text("A patch is made").wait_for()
        assert b'"Workflow Error"' in await browser.running.bench.database.read(export_applied)
        assert hands.keys == 4


async def test_a_rule_is_made_tried_and_applied(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    settings = settings_for(tmp_path, folder=str(own), apply="folder")
    rules = msgspec.structs.replace(settings.rules, extra_paths=(str(own),))
    async with opened(msgspec.structs.replace(settings, rules=rules)) as client:
        await client.put(pattern(ORDER, at=time.time()))
        async with browsing(client) as page:
            hands = Hands(page)
            await page.goto(f"{client.running.address}/p/{pattern_id(ORDER)}")
            await goes(hands, "/rules/edit", "r")
            await hands.press("t")
            await appears(page, page.locator("#trial-head"))
            await hands.press("Shift+A")
            await appears(page, page.get_by_text("Recorded."))
            assert "Workflow Error" in (own / "50-workbench.yaml").read_text()
            await hands.press("u")
            await page.get_by_text("On its way: it takes back").wait_for()
            assert hands.keys == 4
            await page.goto(f"{client.running.address}/p/{pattern_id(ORDER)}")
            await goes(hands, "/rules/edit", "r")
            await hands.press("Shift+S")
            await appears(page, page.get_by_text("Recorded."))
            assert "mode: shadow" in (own / "50-workbench.yaml").read_text()


async def test_a_file_is_labelled_corrected_and_labelled_again(browser: Client) -> None:
    async with browsing(browser, accept_downloads=True) as page:
        hands = Hands(page)
        await page.goto(f"{browser.running.address}/")
        await goes(hands, "/csv", "g", "c")
        async with page.expect_file_chooser() as chooser:
            await page.evaluate("1")  # the browser hands over its dialog by then
            await hands.press("o")
        table = {"name": "logs.csv", "mimeType": "text/csv", "buffer": TABLE.encode()}
        await (await chooser.value).set_files(table)
        await appears(page, page.get_by_text("2 rows with their labels"))
        await hands.press("l")
        await finished(page)
        assert await label_of(await downloaded(hands), "zxqv 17 blorp") == "Unclassified"
        assert hands.keys == 5
        await hands.press("j")
        await goes(hands, f"/patterns/{pattern_id('zxqv 0 blorp')}", "Enter")
        await hands.press("w", "6", "Enter")
        await finished(page)
        await hands.press("l")
        await page.get_by_text("with 1 line of corrections").wait_for()
        await finished(page)
        assert await label_of(await downloaded(hands), "zxqv 17 blorp") == "Workflow Error"
        assert hands.keys == 12


async def test_what_the_labels_are_worth_is_read(browser: Client) -> None:
    now = time.time()
    login = pattern(LOGIN, share("User Action", 40), count=40, at=now, sources={"web": 40})
    await browser.put(pattern(ORDER, at=now), login)
    line = new_correction(LOGIN, "User Action", by="anna")
    await browser.running.bench.database.write(lambda store: add_correction(store, line))
    async with browsing(browser) as page:
        hands = Hands(page)
        await page.goto(f"{browser.running.address}/")
        assert "have a label" in await page.locator(".sentence").inner_text()
        await goes(hands, "/models", "g", "m")
        await page.get_by_text("active corrections").wait_for()
        await goes(hands, "/sources", "g", "s")
        copy = page.get_by_role("button", name="Copy link")
        await hands.press("c")
        await page.get_by_role("button", name="Copied").wait_for()
        await copy.wait_for()
        assert await copy.text_content() == "Copy link c"
        assert hands.keys == 5


async def test_rows_of_every_list_are_ticked_by_a_key(browser: Client) -> None:
    line = new_correction(LOGIN, "User Action", by="anna")
    await browser.running.bench.database.write(lambda store: add_correction(store, line))
    async with browsing(browser) as page:
        await page.goto(f"{browser.running.address}/corrections")
        hands = Hands(page)
        await hands.press("j", "x")
        assert await page.locator("tbody input[type=checkbox]:checked").count() == 1
        await hands.press("x")
        assert await page.locator("tbody input[type=checkbox]:checked").count() == 0
