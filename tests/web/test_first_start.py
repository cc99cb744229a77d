"""The first minutes: nothing has come yet, and each page says what to do."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.web.conftest import Client, opened, pattern, settings_for
from tests.web.test_browser import browsing
from tests.web.test_browser import pytestmark as in_browser
from waybill.web.store.nodes import NodeState, note_node

#: Each page, and what it says while there is nothing.
SAYS = {
    "/": "No records yet",
    "/patterns": "No patterns yet",
    "/review": "No records of the last 24 h yet",
    "/sources": "No sources yet",
    "/corrections": "None yet. Open a",
    "/changes": "None yet. Open",
    "/models": "No sidecar has reported a model yet",
    "/nodes": "Set <code>workbench.sidecars</code>",
    "/csv": "No files yet",
    "/rules": "New rule",
}


@pytest.mark.parametrize("path", SAYS)
async def test_an_empty_page_says_what_to_do(browser: Client, path: str) -> None:
    status, text = await browser.get(path)
    assert status == 200
    assert SAYS[path] in text
    assert "0 undecided" not in text


async def test_the_first_steps_know_what_is_done(tmp_path: Path) -> None:
    place = "http://127.0.0.1:9"
    async with opened(settings_for(tmp_path, sidecars=(place,), collect_secs=3600.0)) as client:
        _, text = await client.get("/")
        assert f"curl {place}/v1/label -d" in text
        assert 'class="done"' not in text
        database = client.running.bench.database
        state = NodeState("n-2", "http://n-2", time.time())
        await database.write(lambda store: note_node(store, state))
        _, text = await client.get("/")
        assert 'class="done"' in text
        await client.put(pattern("order <id> held", at=time.time()))
        _, text = await client.get("/")
        assert "No records yet" not in text
        assert "undecided · Overview" in text


@pytest.mark.skipif(in_browser[2].args[0], reason="no chromium")
async def test_the_page_that_waits_fills_by_itself(browser: Client) -> None:
    async with browsing(browser) as page:
        await page.goto(browser.running.address + "/")
        await page.get_by_role("heading", name="No records yet").wait_for()
        await browser.put(pattern("order <id> held", at=time.time()))
        await page.get_by_text("Review 1 undecided").wait_for()
