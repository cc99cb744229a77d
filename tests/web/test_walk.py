"""The whole walk, in a real browser with a real sidecar: seen, made a rule, tried, applied, in force,
undone; and the same with a correction.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conftest import Running, Sidecar
from tests.support.ports import free_port
from tests.web.conftest import opened, settings_for
from tests.web.test_browser import browsing, pytestmark  # noqa: F401 - the same skips
from waybill.core.pattern import pattern_id
from waybill.labelling.masking import mask

OWN = "rules:\n- {id: base, label: System Notification, pattern: 'kernel started'}\n"
MESSAGE = "order 8812 rejected by partner 17"
LABEL = "Workflow Error"
#: As the clipboard gives it; typed over a selection Chromium writes style attributes.
PASTE = """text => {
    const data = new DataTransfer();
    data.setData("text/plain", text);
    const paste = {clipboardData: data, bubbles: true, cancelable: true};
    document.querySelector(".cm-content").dispatchEvent(new ClipboardEvent("paste", paste));
}"""


async def label(sidecar: Sidecar, number: int = 9) -> tuple[str, str]:
    message = f"order {number} rejected by partner 3"
    _, answer, _ = await sidecar.post(json.dumps({"log": message}).encode())
    record = json.loads(answer)
    return record["target_label"], record["label_tier"]


async def in_force(page: Any) -> None:
    await page.locator("#spread").get_by_text("in force on 1 of 1").wait_for()


@pytest.mark.timeout(240)
async def test_from_an_undecided_pattern_to_a_rule_and_back(
    running: Running, tmp_path: Path
) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(OWN)
    port = free_port()
    settings = settings_for(
        tmp_path, apply="follow", sidecars=(f"http://127.0.0.1:{port}",), collect_secs=0.3
    )
    rules = msgspec.structs.replace(settings.rules, path=str(tmp_path / "rules"))
    async with opened(msgspec.structs.replace(settings, rules=rules)) as client:
        address = client.running.address
        overrides = [
            f"http.listen=127.0.0.1:{port}",
            f"rules.path={tmp_path / 'rules'}",
            "model.path=null",
            f"rules.follow.source={address}",
            f"rules.follow.into={tmp_path / 'followed'}",
            "rules.follow.interval_secs=0.3",
            f"corrections.follow={address}",
            f"corrections.follow_cache={tmp_path / 'corrections.ndjson'}",
            "corrections.interval_secs=0.3",
        ]
        async with running(*overrides) as sidecar, browsing(client) as page:
            assert await label(sidecar) == ("Unclassified", "none")
            one = pattern_id(mask(MESSAGE))
            while one not in (await client.get("/patterns.json"))[1]:
                await asyncio.sleep(0.1)
            await page.goto(f"{address}/patterns/{one}")
            await page.keyboard.press("r")
            editor = page.locator(".cm-content")
            await editor.wait_for()
            text = await page.locator("#text").input_value()
            await editor.click()
            await page.keyboard.press("Control+a")
            await page.evaluate(PASTE, text.replace("YOUR LABEL", LABEL))
            await page.get_by_text("samples pass").wait_for()
            await page.get_by_role("button", name="Try").click()
            await page.locator("#trial-head").wait_for()
            assert " change their label" in await page.locator("#trial-head").inner_text()
            assert await label(sidecar) == ("Unclassified", "none")
            await page.get_by_role("button", name="Apply").click()
            await in_force(page)
            assert await label(sidecar) == (LABEL, "rule")
            await page.get_by_role("button", name="Undo").click()
            await page.get_by_text("On its way: it takes back").wait_for()
            await in_force(page)
            assert await label(sidecar) == ("Unclassified", "none")

            await page.goto(f"{address}/patterns/{one}")
            for key in ("w", "6", "Enter"):
                await page.keyboard.press(key)
            await page.get_by_text("Recorded:").wait_for()
            assert await label(sidecar) == ("Unclassified", "none")
            await page.goto(f"{address}/corrections")
            await page.get_by_role("button", name="Apply").click()
            await in_force(page)
            assert await label(sidecar) == (LABEL, "correction")
            await page.get_by_role("button", name="Undo").click()
            await page.get_by_text("On its way: it takes back").wait_for()
            await in_force(page)
            assert await label(sidecar) == ("Unclassified", "none")
