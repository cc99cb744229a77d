"""The queue and the page of a pattern: what is asked first, what is hidden, what happened before."""

from __future__ import annotations

import re
import time

from tests.web.conftest import Client, pattern, share
from waybill.core.correction import decode_correction, new_correction, settle
from waybill.core.pattern import pattern_id
from waybill.labelling.rules.ruleset import Rule
from waybill.web.nearmiss import near_misses
from waybill.web.store.corrections import add_correction, export

ORDER, TWIN = (
    "order 0 rejected by limit of partner <id>",
    "order 0 rejected by limit of tenant <id>",
)
RARE, LOGIN = "strange thing <id>", "User <id> logged in"
QUEUE = re.compile(r'id="item-([0-9a-f]{16})"')


async def fill(browser: Client) -> None:
    now = time.time()
    old = {"since": now - 90_000, "first_seen": now - 90_000}
    await browser.put(
        pattern(ORDER, at=now, count=4000, **old),
        pattern(TWIN, at=now, count=3000, **old),
        pattern(RARE, at=now, count=20, **old),
        pattern(LOGIN, share("User Action", 50), count=50, at=now, **old),
        at=now - 60,
    )
    database = browser.running.bench.database
    await database.write(browser.running.bench.collector.groups.renew)


async def said(browser: Client, mask: str, label: str, by: str) -> None:
    line = new_correction(mask, label, by=by, note=f"{by} knows")
    await browser.running.bench.database.write(lambda store: add_correction(store, line))


async def asked(browser: Client, query: str = "") -> str:
    _, text = await browser.get(f"/review?{query}")
    found = QUEUE.search(text)
    return found[1] if found else ""


async def test_one_of_those_that_read_alike_is_asked_and_the_others_are_offered(
    browser: Client,
) -> None:
    await fill(browser)
    _, text = await browser.get("/review")
    assert QUEUE.search(text)[1] == pattern_id(ORDER)  # type: ignore[index]
    assert "2 to answer" in text
    assert "1 pattern read alike" in text
    form = {"pattern": pattern_id(ORDER), "label": "Workflow Error", "also": "1"}
    _, text = await browser.send("/review/answer", form)
    assert "Corrected 2 patterns" in text
    assert QUEUE.search(text)[1] == pattern_id(RARE)  # type: ignore[index]
    _, text = await browser.send("/review/undo", {"queue": "undecided"})
    body = await browser.running.bench.database.read(export)
    assert settle([decode_correction(line) for line in body.splitlines()]) == []
    assert await asked(browser) == pattern_id(ORDER)


async def test_undo_goes_back_as_often_as_there_are_answers(browser: Client) -> None:
    await fill(browser)
    for mask in (ORDER, RARE):
        form = {"pattern": pattern_id(mask), "label": "Error"}
        await browser.send("/review/answer", form)
    for mask in (RARE, ORDER):
        _, text = await browser.send("/review/undo", {})
        assert QUEUE.search(text)[1] == pattern_id(mask)  # type: ignore[index]
    _, text = await browser.send("/review/undo", {})
    assert "Nothing to undo" in text


async def test_two_opinions_and_contradictions_have_queues_and_blind_hides_them(
    browser: Client,
) -> None:
    await fill(browser)
    await said(browser, ORDER, "Error", "anna")
    await said(browser, ORDER, "Workflow Error", "bob")
    await said(browser, LOGIN, "Security Alert", "anna")
    assert await asked(browser, "queue=second") == pattern_id(ORDER)
    _, text = await browser.get("/review?queue=second")
    assert "bob knows" in text
    _, text = await browser.get("/review?queue=second&blind=1")
    assert "bob" not in text
    assert "nearest:" not in text
    _, text = await browser.get("/review?queue=disagree")
    assert pattern_id(LOGIN) in text or pattern_id(ORDER) in text
    form = {"pattern": pattern_id(ORDER), "label": "Workflow Error", "queue": "second"}
    await browser.send("/review/answer", {**form, "label": "HTTP Status"})
    assert await asked(browser, "queue=second") == ""


async def test_what_comes_later_waits_until_it_is_asked_for(browser: Client) -> None:
    await fill(browser)
    started = f"{time.time() - 30:.0f}"
    await browser.put(pattern("loud new <id>", count=90_000, at=time.time()))
    _, text = await browser.get(f"/review?started={started}")
    assert QUEUE.search(text)[1] == pattern_id(ORDER)  # type: ignore[index]
    assert "1 new: show them" in text
    assert await asked(browser) == pattern_id("loud new <id>")
    _, text = await browser.get("/review?confirm=1000")
    assert "press the same key again" in text


async def test_a_pattern_tells_its_story_its_place_and_what_reads_alike(browser: Client) -> None:
    await fill(browser)
    await said(browser, ORDER, "Error", "anna")
    address = f"/patterns/{pattern_id(ORDER)}?in=state%3Dundecided%26group%3D0"
    _, text = await browser.get(address)
    assert "1 of 3" in text
    assert f"/patterns/{pattern_id(TWIN)}?in=state%3Dundecided" in text
    assert "Patterns (undecided)" in text
    _, text = await browser.get(f"{address}&tab=history")
    assert "first seen" in text
    assert "anna knows" in text
    _, text = await browser.get(f"{address}&tab=alike")
    assert "tenant" in text
    await browser.put(pattern(ORDER, share("Error", 4100), count=4100, at=time.time() + 9))
    _, text = await browser.get(f"{address}&tab=history&t=7d")
    assert "labelled by rule a-rule" in text


async def test_a_list_shows_one_of_each_group_and_how_many_more(browser: Client) -> None:
    await fill(browser)
    _, text = await browser.get("/patterns")
    assert pattern_id(TWIN) not in text
    assert ">+1</a>" in text
    _, text = await browser.get("/patterns?group=0")
    assert pattern_id(TWIN) in text


def test_a_near_miss_says_where_a_rule_stopped() -> None:
    def rule(name: str, text: str) -> Rule:
        return Rule(1, name, "Error", text, "enforce", "x.yaml", 1, None, None, 0)  # type: ignore[arg-type]

    message = "order 12 rejected by partner"
    rules = [rule("far", "kernel panic"), rule("near", r"order \d+ rejected by (customer)$")]
    (found,) = near_misses(rules, [], message)
    assert (found.rule, found.missing) == ("near", "(customer)$")
    assert near_misses(rules, ["near"], message) == []


def test_a_near_miss_that_cannot_be_found_in_time_is_left_out() -> None:
    text = r"order rejected (x|xx)+(?!x)[^x]$"
    rule = Rule(1, "near", "Error", text, "enforce", "x.yaml", 1, None, None, 0)  # type: ignore[arg-type]
    assert near_misses([rule], [], "order rejected " + "x" * 60) == []
