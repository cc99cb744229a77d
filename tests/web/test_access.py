"""Everybody can use the pages: axe-core, narrow screens, a keyboard alone, colours of one's own.

``axe-core`` (MPL 2.0, see vendor/axe-LICENSE.txt) is here for tests only.
"""

from __future__ import annotations

import gzip
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.web.conftest import Client, pattern, settings_for, share
from tests.web.conftest import opened as opened_pages
from tests.web.test_browser import HOSTILE, ORDER, browsing, pytestmark
from tests.web.test_files import send, until
from waybill.core.pattern import pattern_id

__all__ = ["pytestmark"]

AXE = gzip.decompress(
    (Path(__file__).parent / "vendor" / "axe-4.14.1.min.js.gz").read_bytes()
).decode()
#: Widths of screens; 320 is also 1280 at a zoom of 400 %.
WIDTHS = (320, 500, 768, 1024, 1280)
#: What cannot be seen without scrolling a table: buttons of rows, and patterns squeezed to a word.
CUT = """[...document.querySelectorAll('.scroll')].flatMap((box) => {
  const end = box.getBoundingClientRect().right + 1;
  const cut = [...box.querySelectorAll('button, .button')].filter((one) => one.getBoundingClientRect().right > end);
  const thin = [...box.querySelectorAll('table.patterns td.text')].filter((one) => one.offsetWidth < 200);
  return [...cut, ...thin].map((one) => one.textContent.trim().slice(0, 40));
})"""
FRAME = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
PAGES = ("/", "/patterns", "/review", "/rules", "/rules/edit", "/sources", "/nodes", "/corrections",
         "/changes", "/models", "/csv", "/try", "/keys", "/docs", "/login")  # fmt: skip
#: The button that starts it, whether the file is read to its end or not.
LABEL = re.compile("^Label (the file|[0-9,]+ rows) l$")
TABLE = (
    "id,source,message,target_label\n"
    "1,shop,User 1 logged in,User Action\n2,shop,zxqv 17 blorp,\n3,shop,,Error\n4,shop,a,b,c\n"
)


async def fill(client: Client) -> tuple[str, ...]:
    """Patterns of every kind and files in every state; further pages to look at."""
    now = time.time()
    await client.put(
        pattern(ORDER, at=now, count=1200),
        pattern(HOSTILE, at=now, count=50, sources={HOSTILE: 50}),
        pattern("User <id> logged in", share("User Action", 40), count=40, at=now),
        pattern("half <id>", share("Error", 30), share("User Action", 10), count=40, at=now),
    )
    said = {"label": "Workflow Error", "note": "asked for twice " * 9}
    await client.send(f"/patterns/{pattern_id(ORDER)}/correct", said)
    done = await send(client, "done.csv", TABLE.encode())
    await client.send(f"{done}/run", {})
    failed = await send(client, "failed.csv", b'log\n"a\n')
    await client.send(f"{failed}/run", {"has_details": "1", "on_quote": "fail"})
    ready = await send(client, "ready.csv", TABLE.encode())
    await until(client, done, "finished")
    await until(client, failed, "failed")
    open_one = f"{done}/patterns/{pattern_id('zxqv 0 blorp')}"
    masks = (ORDER, HOSTILE, "half <id>")
    patterns = tuple(f"/patterns/{pattern_id(mask)}" for mask in masks)
    preview = f"/patterns?sel={pattern_id(ORDER)}&nobody=knows"
    return (*patterns, preview, ready, done, f"{done}?change=1", failed, open_one)


async def overflow(page: Any) -> int:
    """By how many pixels the page is wider than its window."""
    wide: int = await page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return wide


async def _misfits(page: Any) -> list[str]:
    """At which widths the page does not fit."""
    found = []
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 800})
        wide = await overflow(page)
        if wide > 0:
            found.append(f" at {width} px: {wide} px too wide")
        found += [f" at {width} px: cut: {one}" for one in await page.evaluate(CUT)]
    return found


@pytest.mark.timeout(400)
async def test_axe_finds_nothing_serious_and_every_page_fits(tmp_path: Path) -> None:
    found: list[str] = []
    async with opened_pages(settings_for(tmp_path)) as client:
        further = await fill(client)
        async with browsing(client, color_scheme="light", reduced_motion="reduce") as page:
            for path in (*PAGES, *further):
                await page.goto(client.running.address + path)
                await page.evaluate(AXE)
                found += await _serious(page, f"light {path}", "{}")
                await page.emulate_media(color_scheme="dark")
                await page.set_viewport_size({"width": WIDTHS[1], "height": 800})
                only = "{runOnly: ['color-contrast', 'link-in-text-block', "
                only += "'scrollable-region-focusable']}"
                found += await _serious(page, f"dark {path}", only)
                found += [f"{path}, dark{fault}" for fault in await _misfits(page)]
                await page.emulate_media(color_scheme="light")
                found += [f"{path}{fault}" for fault in await _misfits(page)]
                if await page.locator("h1").count() != 1:
                    found.append(f"{path}: not one heading")
    assert found == [], "\n".join(found)


async def test_colours_and_motion_of_ones_own_are_kept(browser: Client) -> None:
    asked = {"forced_colors": "active", "reduced_motion": "reduce"}
    async with browsing(browser, **asked) as page:
        await page.goto(browser.running.address + "/csv")
        button = page.get_by_role("button", name="Compact")
        style = "(one) => getComputedStyle(one).transitionDuration"
        assert await button.evaluate(style) == "0s"
        border = await button.evaluate("(one) => getComputedStyle(one).borderStyle")
        assert border == "solid"


async def test_a_pattern_is_corrected_without_scripts(tmp_path: Path) -> None:
    async with (
        opened_pages(settings_for(tmp_path)) as client,
        browsing(client, java_script_enabled=False) as page,
    ):
        await client.put(pattern(ORDER, at=time.time()))
        await page.goto(f"{client.running.address}/patterns/{pattern_id(ORDER)}")
        assert not await page.get_by_role("button", name="Wrong: it is").is_visible()
        await page.get_by_label("It is").select_option("Workflow Error")
        await page.get_by_role("button", name="Record the correction").click()
        await page.get_by_text("Recorded: Workflow Error").wait_for()


async def test_a_file_is_labelled_without_scripts(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text(TABLE)
    settings = settings_for(tmp_path)
    async with (
        opened_pages(settings) as client,
        browsing(client, java_script_enabled=False) as page,
    ):
        await page.goto(client.running.address + "/csv")
        await page.locator("#file").set_input_files(str(table))
        await page.get_by_role("button", name="Send").click()
        await page.get_by_role("button", name=LABEL).click()
        await until(client, page.url.removeprefix(client.running.address), "finished")
        await page.get_by_role("link", name="Reload").click()
        await page.get_by_role("link", name="Download").wait_for()


async def test_a_first_file_takes_three_clicks_and_a_correction_five_more(tmp_path: Path) -> None:
    """Walk B of the design: 3 clicks; then a click, three keys, a click."""
    table = tmp_path / "a.csv"
    table.write_text(TABLE)
    settings = settings_for(tmp_path)
    async with opened_pages(settings) as client, browsing(client, accept_downloads=True) as page:
        await page.goto(client.running.address + "/csv")
        async with page.expect_file_chooser() as chooser:
            await page.get_by_text("Drop a file here").click()  # 1
        await (await chooser.value).set_files(str(table))
        await page.get_by_role("button", name=LABEL).click()  # 2
        download = page.get_by_role("link", name="Download")
        await download.wait_for(timeout=60_000)
        async with page.expect_download():
            await download.click()  # 3
        await page.reload()
        job = page.url
        await page.locator("td.text a").first.click()  # 1
        await page.wait_for_url(lambda url: url != job)  # a key before it is there is lost
        for key in ("w", "6", "Enter"):  # 3 keys
            await page.keyboard.press(key)
        await page.get_by_text("Recorded: ").wait_for()
        await page.get_by_role("button", name="Run again with corrections (1 new)").click()
        await page.get_by_text("with 1 line of corrections").wait_for(timeout=60_000)
        assert await page.get_by_role("link", name="Download").count() == 1


async def test_a_file_is_sent_and_labelled_by_keys_alone(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text(TABLE)
    async with opened_pages(settings_for(tmp_path)) as client, browsing(client) as page:
        await page.goto(client.running.address + "/keys")
        await page.keyboard.press("g")
        await page.keyboard.press("c")
        await page.locator("#file").wait_for()
        await page.wait_for_load_state()
        async with page.expect_file_chooser() as chooser:
            await page.locator("#file").press("Space")
        await (await chooser.value).set_files(str(table))
        button = page.get_by_role("button", name=LABEL)
        await button.wait_for()
        for _ in range(40):
            await page.keyboard.press("Tab")
            if await button.evaluate("(one) => one === document.activeElement"):
                break
        outline = await button.evaluate("(one) => getComputedStyle(one).outlineStyle")
        assert outline != "none"
        await page.keyboard.press("Enter")
        await page.get_by_role("link", name="Download").wait_for(timeout=60_000)


async def _serious(page: Any, where: str, options: str) -> list[str]:
    # What waits for an answer is paler for that long.
    await page.wait_for_function("document.querySelector('.htmx-request') === null")
    # What follows a change of width follows with the next frame.
    await page.evaluate(FRAME)
    told = await page.evaluate(f"axe.run({{resultTypes: ['violations'], ...{options}}})")
    lines: list[str] = []
    for one in told["violations"]:
        if one["impact"] in ("serious", "critical"):
            targets = [" ".join(map(str, node["target"])) for node in one["nodes"][:3]]
            why = one["nodes"][0]["failureSummary"][:200]
            lines.append(f"{where}: {one['id']} ({one['impact']}): {targets} {why}")
    return lines
