"""The field in the header finds patterns, rules, sources, labels and nodes while one types."""

from __future__ import annotations

import json
import time

import pytest

from tests.web.conftest import Client, pattern, share
from waybill.core.pattern import pattern_id
from waybill.web.views.search import is_line

MASK = "disk 0 of <id> is worn"


async def fill(client: Client) -> None:
    await client.put(
        pattern(MASK, share("Error", 30), at=time.time(), sources={"dis%_k-\u202e": 30}),
        node="disk-node",
    )


async def found(client: Client, asked: str) -> dict[str, list[str]]:
    _, text = await client.get(f"/-/search?q={asked}")
    groups = json.loads(text)["groups"]
    return {one["name"]: [item["words"] for item in one["items"]] for one in groups}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("disk", False), ("a rule", False), ("disk 7 full", True), ("x" * 41, True)],
)
def test_what_somebody_pasted_is_told_from_a_name(asked: str, *, expected: bool) -> None:
    assert is_line(asked) is expected


async def test_it_finds_names_of_every_kind(browser: Client) -> None:
    await fill(browser)
    await browser.running.bench.engine.opened()
    told = await found(browser, "DIS")
    assert told["Patterns"] == [MASK]
    assert told["Sources"] == ["dis%_k-U+202E"]
    assert list(told)[-1] == "Log line"
    assert (await found(browser, "%25_K"))["Sources"] == ["dis%_k-U+202E"]
    assert "Sources" not in await found(browser, "%25k")
    assert (await found(browser, "err"))["Labels"][-1] == "Error"
    assert next(iter(await found(browser, "disk+12+of+x+is+worn"))) == "Log line"
    assert await found(browser, "") == {}
    _, text = await browser.get("/-/search?q=disk")
    assert f"/patterns/{pattern_id(MASK)}" in text
    rules = browser.running.bench.engine.known_rules()
    assert rules[0] in (await found(browser, rules[0]))["Rules"]


async def test_a_preview_has_an_address(browser: Client) -> None:
    await fill(browser)
    _, text = await browser.get(f"/patterns?label=Error&sel={pattern_id(MASK)}")
    assert 'id="preview"' in text
    assert "knows no parameter" not in text
    _, text = await browser.get("/patterns?sel=0000000000000000")
    assert 'id="preview"' not in text
