"""Every page on real data: what is told is shown, what is said is kept, and nothing is a dead end."""

from __future__ import annotations

import html
import json
import re
import sqlite3
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.web.conftest import Client, opened, pattern, settings_for, share
from waybill.core.correction import decode_correction, new_correction, settle
from waybill.core.pattern import pattern_id
from waybill.web.store.corrections import add_correction, export
from waybill.web.store.queries import history

PAGES = ("/", "/patterns", "/review", "/sources", "/nodes", "/try", "/csv", "/corrections",
         "/changes", "/keys", "/login")  # fmt: skip
ORDER = "order <id> rejected by partner 0"
LOGIN = "User <id> logged in"
BAD = '"><script>alert(1)</script> \u202e \x1b[31m <id>'


async def fill(browser: Client) -> None:
    now = time.time()
    await browser.put(
        pattern(ORDER, at=now),
        pattern(LOGIN, share("User Action", 50), count=50, at=now),
        pattern("half <id>", share("Error", 30), share("User Action", 10), count=40, at=now),
        pattern(BAD, at=now, sources={"<b>shop</b>": 5}, count=5),
    )


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_there_empty_and_full(browser: Client, path: str) -> None:
    for _ in range(2):
        status, text = await browser.get(path)
        assert status == 200, text
        assert "<h1" in text
        assert "<script>alert" not in text
        await fill(browser)


async def test_undecided_patterns_stand_first_and_filters_agree_with_counts(
    browser: Client,
) -> None:
    await fill(browser)
    _, text = await browser.get("/patterns")
    assert text.index(pattern_id(ORDER)) < text.index(pattern_id(LOGIN))
    _, only = await browser.get("/patterns?label=User+Action")
    assert pattern_id(LOGIN) in only
    assert pattern_id(ORDER) not in only
    assert "1 of 4" in only
    _, none = await browser.get("/patterns?q=nowhere")
    assert "No pattern matches" in none
    assert "Without the text “nowhere”: <b>4</b>" in none
    _, told = await browser.get("/patterns.json?state=undecided")
    assert {one["mask"] for one in json.loads(told)["patterns"]} == {ORDER, BAD}


async def test_what_is_rare_is_told_by_the_day_and_the_largest_source_first(
    browser: Client,
) -> None:
    now = time.time()
    sources = {"few": 1, "most": 6, "some": 2}
    await browser.put(pattern(ORDER, at=now, count=9, sources=sources))
    _, text = await browser.get(f"/patterns/{pattern_id(ORDER)}")
    assert "9/day" in text
    assert "216/day" not in text
    assert text.index("source=most") < text.index("source=some") < text.index("source=few")


async def test_a_correction_is_recorded_withdrawn_and_exported(browser: Client) -> None:
    await fill(browser)
    status, text = await browser.send(
        f"/patterns/{pattern_id(ORDER)}/correct", {"label": "Workflow Error", "note": "partner"}
    )
    assert status == 200
    assert "Recorded" in text
    _, lines = await browser.get("/corrections.ndjson")
    (line,) = [decode_correction(one) for one in lines.encode().splitlines()]
    assert (line.mask, line.label, line.by, line.note) == (
        ORDER,
        "Workflow Error",
        "local",
        "partner",
    )
    await browser.send(f"/corrections/{line.id}/withdraw", {})
    body = await browser.running.bench.database.read(export)
    assert settle([decode_correction(one) for one in body.splitlines()]) == []


async def test_several_corrections_are_withdrawn_in_one_go(browser: Client) -> None:
    await fill(browser)
    for mask in (ORDER, BAD):
        for label in ("Workflow Error", "Error"):  # the first one no longer stands
            await browser.send(f"/patterns/{pattern_id(mask)}/correct", {"label": label})
    _, page = await browser.get("/corrections")
    ids = re.findall('name="id" value="([0-9a-f]{16})" form="several"', page)
    assert len(ids) == 2
    old = {line.id for line in await browser.running.bench.database.read(history)} - set(ids)
    where = "/corrections/withdraw"
    for chosen in ((), ("0" * 16, "<i>", "")):
        _, page = await browser.send(where, {"id": chosen})
        assert "No active correction was selected." in page
    _, page = await browser.send(where, {"id": [*ids, *old, ids[0]]})
    assert "2 withdrawn." in page
    body = await browser.running.bench.database.read(export)
    stand = settle([decode_correction(one) for one in body.splitlines()])
    assert [one.correction.label for one in stand] == ["Workflow Error"] * 2  # as before those
    assert len(body.splitlines()) == 6


@pytest.mark.parametrize(
    ("mask", "label", "says"),
    [("half <id>", "Error", "make a rule"), (ORDER, "No Such Label", "No label")],
)
async def test_what_cannot_be_corrected_is_said(
    browser: Client, mask: str, label: str, says: str
) -> None:
    await fill(browser)
    _, text = await browser.send(f"/patterns/{pattern_id(mask)}/correct", {"label": label})
    assert says in text
    assert await browser.running.bench.database.read(export) == b""


async def test_the_queue_takes_answers_and_takes_them_back(browser: Client) -> None:
    await fill(browser)
    _, text = await browser.get("/review")
    assert f"item-{pattern_id(ORDER)}" in text
    _, after = await browser.send(
        "/review/answer",
        {"pattern": pattern_id(ORDER), "queue": "undecided", "label": "Workflow Error"},
    )
    assert f"item-{pattern_id(ORDER)}" not in after
    await browser.send("/review/undo", {})
    body = await browser.running.bench.database.read(export)
    assert len(body.splitlines()) == 2
    _, skipped = await browser.send(
        "/review/answer", {"pattern": pattern_id(BAD), "queue": "undecided", "skip": "1"}
    )
    assert f"item-{pattern_id(BAD)}" not in skipped


async def test_a_line_leads_to_its_pattern_or_to_what_reads_alike(browser: Client) -> None:
    mask = browser.running.bench.engine.mask_of("order 8812 rejected by partner 17")
    await browser.put(pattern(mask))
    _, text = await browser.get("/find?message=order+9+rejected+by+partner+1")
    assert pattern_id(mask) in text
    status, other = await browser.get("/find?message=invoice+rejected")
    assert status == 200
    assert "No sidecar has reported" in other
    assert "/try#lines=invoice%20rejected" in other


async def test_a_refusal_is_a_page_that_leads_on_and_short_addresses_lead_to_lists(
    browser: Client,
) -> None:
    await fill(browser)
    status, text = await browser.get("/nowhere", Accept="text/html")
    assert (status, "There is no such page" in text) == (404, True)
    assert 'href="/patterns"' in text
    status, text = await browser.get("/csv/0123456789abcdef", Accept="text/html")
    assert (status, "<h1>" in text) == (404, True)
    assert await browser.get("/nowhere") == (404, "404: Not Found")
    for path, chip in (("/sources/shop", "source"), ("/nodes/n-1", "node"), ("/rules/x", "rule")):
        status, text = await browser.get(path)
        assert (status, f"{chip} <b>is</b> {path.rpartition('/')[2]}" in text) == (200, True)
    status, gone = await browser.get("/patterns/0123456789abcdef")
    assert status == 200
    assert "not known" in gone


async def test_lines_are_tried_with_the_rules_in_force(browser: Client) -> None:
    status, text = await browser.send("/try", {"lines": "User 7 logged in\n\nzxqv"})
    assert status == 200
    assert "User Action" in text


async def test_counts_are_differences_and_a_restart_is_no_jump(browser: Client) -> None:
    import time

    now = time.time()
    first = pattern(ORDER, count=100, at=now)
    await browser.put(first)
    await browser.put(pattern(ORDER, count=130, at=now, since=first.since))
    restarted = pattern(ORDER, count=7, at=now, since=now - 10, first_seen=now - 10)
    await browser.put(restarted)
    _, told = await browser.get("/patterns.json")
    (one,) = json.loads(told)["patterns"]
    assert one["day_count"] == 137


async def test_what_was_said_outlives_the_process(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    async with opened(settings) as browser:
        await fill(browser)
        await browser.send(f"/patterns/{pattern_id(LOGIN)}/correct", {"label": "Error"})
    async with opened(settings) as browser:
        _, text = await browser.get(f"/patterns/{pattern_id(LOGIN)}")
        assert "Withdraw" in text


async def test_all_corrections_are_read_page_by_page(browser: Client) -> None:
    lines = [new_correction(f"message {number}", "Error", by="ann") for number in range(450)]

    late = new_correction("late", "Error", by="bob")

    def fill(store: sqlite3.Connection) -> None:
        for line in lines:
            add_correction(store, line)

    await browser.running.bench.database.write(fill)
    seen: list[str] = []
    path = "/corrections"
    while path:
        _, text = await browser.get(path)
        seen += re.findall(r"/corrections/([0-9a-f]{16})/withdraw", text)
        if len(seen) == 200:  # what is said meanwhile moves nothing
            await browser.running.bench.database.write(lambda one: add_correction(one, late))
        found = re.search(r'rel="next" href="([^"]+)"', text)
        path = found[1] if found is not None else ""
    assert seen == [line.id for line in lines[::-1]]
    assert "of 451" in text
    _, text = await browser.get("/corrections?by=bob&label=Error")
    assert "1 line," in text
    assert "knows no parameter" not in text
    _, text = await browser.get("/corrections?label=User+Action")
    assert "No correction matches" in text


async def test_a_record_is_tried_and_found_by_its_message(browser: Client) -> None:
    await browser.put(pattern("User 0 logged in"))
    record = json.dumps({"service": "crm", "message": "User 7 logged in", "level": "info"})
    head = "2026-01-01T00:00:00.5Z stdout F "
    lines = "\n".join(["User 7 logged in", record, head + record, head + "User 7 logged in"])
    _, text = await browser.send("/try", {"lines": lines})
    shown = re.findall(r"<tr data-row>.*?</tr>", text, re.DOTALL)
    assert len(shown) == 4
    assert len(set(shown)) == 1
    _, text = await browser.send("/try", {"lines": '{"level": "info"}\n[1]\n{"a": '})
    assert text.count("<tr data-row>") == 3
    for asked in (record, head + record):
        _, page = await browser.get(f"/find?message={quote(asked)}")
        assert "No sidecar has reported this line" not in page


async def test_a_new_file_begins_with_a_rule_without_faults(browser: Client) -> None:
    _, page = await browser.get("/rules/edit")
    (text,) = re.findall(r"<textarea[^>]*>(.*?)</textarea>", page, re.DOTALL)
    text = html.unescape(text).lstrip()
    assert text.startswith("rules:\n- id: own-example")
    _, page = await browser.send("/rules/edit", {"file": "50-a.yaml", "text": text, "do": "try"})
    assert 'class="banner bad"' not in page
