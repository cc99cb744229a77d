"""The overview: its sentence, its chart with a table, what moved since yesterday, a link that stays."""

from __future__ import annotations

import time

from tests.web.conftest import Client, pattern, share
from waybill.core.pattern import pattern_id
from waybill.web.store.recording import refresh_rates
from waybill.web.store.trends import moves, undecided_hours

HOUR = 3600.0
QUIET, LOUD, GONE = "quiet <id>", "loud <id>", "gone <id>"


async def fill(browser: Client) -> float:
    """Two days: one pattern became ten times as frequent, one went, one is new."""
    now = time.time()
    began = now - 40 * HOUR
    old = {"since": began, "first_seen": began}
    for back, counts in ((40, (1, 20, 500)), (30, (2, 40, 1000)), (2, (3, 900, 1000))):
        at = now - back * HOUR
        quiet, loud, gone = counts
        await browser.put(
            pattern(QUIET, share("Error", quiet), count=quiet, at=at, **old),
            pattern(LOUD, count=loud, at=at, sources={"shop": loud}, **old),
            pattern(GONE, share("Error", gone), count=gone, at=at, sources={"old": gone}, **old),
            at=at,
        )
    await browser.put(pattern("new <id>", at=now, count=7))
    # As the collector does every hour, for those of which nobody told anything new.
    await browser.running.bench.database.write(lambda store: refresh_rates(store, None, now))
    return now


async def test_what_moved_is_named_and_the_rest_is_not(browser: Client) -> None:
    now = await fill(browser)
    found = await browser.running.bench.database.read(lambda store: moves(store, now, 5))
    assert [(one.words, one.before, one.day) for one in found.moved] == [(LOUD, 40, 860)]
    assert [one.words for one in found.gone] == [GONE]
    assert [one.words for one in found.new] == ["new <id>"]
    assert [one.words for one in found.sources] == ["old", "shop"]
    _, text = await browser.get("/")
    assert "Changes since yesterday" in text
    assert pattern_id(LOUD) in text
    assert "points more than the day before" in text
    assert "against the day before" not in text  # there are 4x hours of data, not two days


async def test_one_hour_of_the_day_before_is_no_day_to_compare_with(browser: Client) -> None:
    now = time.time()
    await browser.put(pattern(LOUD, at=now - 25 * HOUR, count=40), at=now - 25 * HOUR)
    await browser.put(pattern(LOUD, at=now, count=9000))
    _, text = await browser.get("/")
    assert "nothing to compare with yet" in text
    assert "Nothing to compare with yet: this shows" in text
    assert "points more" not in text


async def test_the_chart_and_its_table_tell_the_same(browser: Client) -> None:
    now = await fill(browser)
    hours = await browser.running.bench.database.read(lambda store: undecided_hours(store, now, 24))
    assert len(hours) == 24
    assert sum(hour.records for hour in hours) == 868
    assert next(hour.percent for hour in hours if hour.records) == round(100 * 860 / 861, 3)
    _, text = await browser.get("/?t=7d")
    assert text.count("<tr><td>") >= 24 * 7
    assert '"form": "line"' in text


async def test_a_link_names_the_time_that_it_shows(browser: Client) -> None:
    await fill(browser)
    _, text = await browser.get("/?t=24h&to=2020-01-01T00:00:00Z")
    assert 'Up to <time datetime="2020-01-01T00:00:00Z">2020-01-01 00:00:00 UTC<' in text
    assert "No records in 24 h" in text
    _, text = await browser.get("/?to=nonsense")
    assert "Up to" not in text
