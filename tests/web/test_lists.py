"""The list of patterns: one predicate for rows and numbers, answers for many, what is new."""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.web.conftest import Client, pattern, share
from waybill.core.correction import decode_correction, settle
from waybill.core.pattern import pattern_id
from waybill.web.store.corrections import export

ORDER = "order <id> rejected by partner 0"
LOGIN = "User <id> logged in"
HALF = "half <id>"


async def fill(browser: Client) -> None:
    now = time.time()
    await browser.put(
        pattern(ORDER, at=now, sources={"billing-eu": 80, "crm": 20}),
        pattern(LOGIN, share("User Action", 50), count=50, at=now, sources={"web": 50}),
        pattern(HALF, share("Error", 30), share("User Action", 10), count=40, at=now),
        at=now - 60,
    )


async def standing(browser: Client) -> dict[str, str]:
    body = await browser.running.bench.database.read(export)
    lines = [decode_correction(one) for one in body.splitlines()]
    return {one.correction.mask: one.correction.label for one in settle(lines)}


@pytest.mark.parametrize(
    ("query", "masks"),
    [
        ("source=billing-*", {ORDER}),
        ("source=-billing-*", {LOGIN, HALF}),
        ("label=User+Action&label=Error", {LOGIN, HALF}),
        ("label=-Error&state=mixed", set()),
        ("node=n-1&tier=-none", {LOGIN, HALF}),
        ("node=n-2", set()),
        ("q=logged", {LOGIN}),
        ("sort=rate&state=undecided", {ORDER}),
    ],
)
async def test_rows_numbers_and_downloads_come_from_one_predicate(
    browser: Client, query: str, masks: set[str]
) -> None:
    await fill(browser)
    _, told = await browser.get(f"/patterns.json?{query}")
    assert {one["mask"] for one in json.loads(told)["patterns"]} == masks
    _, table = await browser.get(f"/patterns.csv?{query}")
    assert len(table.splitlines()) == 1 + len(masks)
    _, text = await browser.get(f"/patterns?{query}")
    assert f"{len(masks)} of 3 patterns" in text
    for state, number in re.findall(r">(Mixed|Undecided) <b>(\d+)</b>", text):
        _, told = await browser.get(f"/patterns.json?{query}&state={state.lower()}")
        if "state=" not in query:
            assert len(json.loads(told)["patterns"]) == int(number)


async def test_a_condition_is_added_by_a_form_and_stands_in_the_address(browser: Client) -> None:
    await fill(browser)
    _, text = await browser.get("/patterns?label=Error&add=source&op=not&value=shop-*")
    assert "source <b>is not</b> shop-*" in text
    assert "label <b>is</b> Error" in text
    assert 'aria-sort="descending"' in text


async def test_ticked_patterns_are_corrected_and_taken_back_in_one_go(browser: Client) -> None:
    await fill(browser)
    ids = {"id": pattern_id(ORDER), "label": "Workflow Error", "query": "state=undecided"}
    status, text = await browser.send("/patterns/bulk", ids)
    assert status == 200
    assert "Corrected 1 pattern to Workflow Error." in text
    assert "→ FLOW" in text
    assert await standing(browser) == {ORDER: "Workflow Error"}
    _, text = await browser.send("/patterns/undo", {"query": ""})
    assert "Taken back" in text
    assert await standing(browser) == {}
    _, text = await browser.send("/patterns/undo", {})
    assert "nothing to take back" in text


async def test_all_that_match_are_counted_again_before_anything_is_done(browser: Client) -> None:
    await fill(browser)
    form = {"all": "1", "label": "Error", "query": ""}
    _, text = await browser.send("/patterns/bulk", {**form, "expected": "200"})
    assert "Nothing was done: 3 patterns match now" in text
    assert await standing(browser) == {}
    _, text = await browser.send("/patterns/bulk", {**form, "expected": "3"})
    assert "Corrected 2 patterns to Error." in text
    assert "Skipped 1: 1: Values decide" in text
    _, text = await browser.send("/patterns/bulk", {**form, "expected": "3"})
    assert "2: already Error" in text


async def test_right_as_it_is_takes_one_pattern_with_a_label(browser: Client) -> None:
    await fill(browser)
    await browser.send("/patterns/bulk", {"right": "1", "id": pattern_id(LOGIN)})
    assert await standing(browser) == {LOGIN: "User Action"}
    _, text = await browser.send("/patterns/bulk", {"right": "1", "id": pattern_id(ORDER)})
    assert "that has a label" in text


async def test_what_is_new_or_has_another_label_is_said_and_waits(browser: Client) -> None:
    await fill(browser)
    since = int(time.time()) - 30
    _, told = await browser.get(f"/-/patterns/live?until={since}")
    assert json.loads(told)["words"] == ""
    changed = pattern(LOGIN, share("Error", 60), count=60, at=time.time() + 60)
    await browser.put(changed, pattern("new <id>"), node="n-2")
    _, told = await browser.get(f"/-/patterns/live?until={since}")
    assert json.loads(told)["words"].startswith("1 new, 1 changed since")
    assert pattern_id(LOGIN) in json.loads(told)["rows"]
    _, frozen = await browser.get(f"/patterns?until={since}")
    assert "Frozen at" in frozen
    assert pattern_id("new <id>") not in frozen
