"""The walk of docs/tutorial.md on the pages, by the names that the tutorial itself gives."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec.structs import replace

from tests.web.conftest import opened, pattern, settings_for
from tests.web.test_browser import browsing, pytestmark
from tests.web.test_walk import PASTE
from waybill import classify_records

__all__ = ["pytestmark"]

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
MASK = "trolley 0 by door 0"


def steps() -> list[str]:
    """What the tutorial says to press, in order: names of pages, buttons and links."""
    text = TUTORIAL.read_text("utf-8")
    begin = text.index("Open <http://127.0.0.1:9890>")
    walk = text[begin : text.index("## 8.", begin)]
    assert f"`{MASK}`" in walk
    return re.findall(r"\*([A-Z][^*]+)\*", walk)


async def test_the_walk_of_the_tutorial_is_as_it_says(tmp_path: Path) -> None:
    patterns, make, attempt, write, undo, again = steps()
    assert undo == again
    own = tmp_path / "my-rules"
    own.mkdir()
    settings = settings_for(tmp_path)
    mine = replace(settings.workbench, apply="folder", folder=str(own))
    async with opened(replace(settings, workbench=mine)) as client:
        await client.put(pattern(MASK, count=5, examples=("trolley 3 by door 17",)))
        async with browsing(client) as page:
            await page.goto(client.running.address)
            await page.get_by_role("link", name=patterns, exact=True).click()
            await page.get_by_role("link", name=MASK).click()
            await page.get_by_text("Nobody decided").first.wait_for()
            await page.get_by_text(make).first.click()
            editor = page.locator(".cm-content")
            await editor.wait_for()
            text = await page.locator("#text").input_value()
            assert "trolley 3 by door 17" in text
            drafted = re.sub(r"(?m)^(\s*-?\s*label:).*", r"\1 User Action", text)
            await editor.click()
            await page.keyboard.press("Control+a")
            await page.evaluate(PASTE, drafted)
            await page.get_by_role("button", name=attempt).click()
            await page.locator("#trial-head").wait_for()
            assert "5 of 5 records a day" in await page.locator("#trial-head").inner_text()
            await page.get_by_role("button", name=write).click()
            await page.get_by_role("button", name=undo).wait_for()
            (file,) = own.iterdir()
            assert "User Action" in file.read_text()
            await page.keyboard.press("u")
            await page.get_by_text("On its way: it takes back").wait_for()
            assert list(own.iterdir()) == []


def test_nobody_knows_the_lines_of_the_tutorial_yet() -> None:
    """If a new model knows them, the tutorial needs others."""
    (said,) = classify_records([("", MASK.replace("0", "17"))])
    assert said.label == "Unclassified"
