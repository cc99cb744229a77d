"""The table of patterns: bounded, fair to the heavy, truthful about its errors."""

from __future__ import annotations

import random
import sys
import tracemalloc
from collections import Counter

import pytest

from waybill.core.clock import ManualClock
from waybill.core.pattern import pattern_id
from waybill.core.records import Verdict
from waybill.patterns.sources import SourceTable
from waybill.patterns.table import Entry, PatternTable

ERROR = Verdict("Error", "rule", 1.0, "r-1")
OTHER = Verdict("Error", "rule", 1.0, "r-2")
UNSURE = Verdict("Unclassified", "none", 0.4, "m@1", "low_confidence", guess="Error")


def make(size: int = 100) -> PatternTable:
    return PatternTable(size, "Unclassified", clock=ManualClock(1_000_000.0))


def add(table: PatternTable, mask: str, count: float = 1, verdict: Verdict = ERROR) -> None:
    table.add(mask, count, verdict, "shop", mask, is_exact=True)


def entries(table: PatternTable) -> dict[str, Entry]:
    found = [table.entry(slot) for slot in table.slots()]
    return {one.mask: one for one in found if one is not None}


def test_a_pattern_keeps_its_story() -> None:
    table = make()
    table.add("disk <id>", 2, ERROR, "shop", "disk a0", is_exact=True)
    table.add("disk <id>", 1, UNSURE, "web", "disk b1", is_exact=False)
    one = entries(table)["disk <id>"]
    assert f"{one.number:016x}" == pattern_id("disk <id>")
    assert (one.count, one.error, one.is_sampled) == (3, 0, True)
    assert one.sources == {"shop": 2, "web": 1}
    assert one.examples == ("disk a0", "disk b1")
    assert [(said.label, count) for said, count, _ in one.verdicts] == [
        ("Error", 2),
        ("Unclassified", 1),
    ]
    assert one.verdicts[1][0].guess == "Error"
    assert one.verdicts[1][2] == 0.4


def test_a_flood_of_unique_lines_pushes_out_nothing_that_matters() -> None:
    table = make(100)
    chance = random.Random(5)
    heavy = [f"heavy {i}" for i in range(4)]
    for i in range(10_000):
        add(table, chance.choice(heavy) if i % 10 == 0 else f"unique {i}")
    found = entries(table)
    assert len(found) == 100
    for mask in heavy:
        one = found[mask]
        # Each has 250 records or so; what came before it had its place is its possible error.
        assert one.count - one.error <= 300
        assert one.count >= 200


@pytest.mark.parametrize("seed", range(3))
def test_a_count_is_never_too_low_and_at_most_its_error_too_high(seed: int) -> None:
    chance = random.Random(seed)
    table = make(50)
    truth: Counter[str] = Counter()
    for _ in range(5_000):
        mask = f"m{int(chance.paretovariate(0.6))}"
        truth[mask] += 1
        add(table, mask)
    for mask, one in entries(table).items():
        assert one.count - one.error <= truth[mask] <= one.count
    for mask, count in truth.items():
        if count > 5_000 / 50:
            assert mask in table


def test_what_nobody_could_decide_goes_last() -> None:
    table = make(100)
    for i in range(50):
        add(table, f"unsure {i}", 2, UNSURE)
    for i in range(5_000):
        add(table, f"decided {i}")
        if i == 100:
            assert sum(mask.startswith("unsure") for mask in entries(table)) == 50
    assert table.evicted > 0


def test_long_texts_cost_places_and_not_memory() -> None:
    table = make(500)
    # The interpreter's own table of names, which grows by a megabyte at times, is not ours.
    names = [sys.intern(f"s{i}") for i in range(1_000)]
    tracemalloc.start()
    for i, name in enumerate(names):
        mask = f"{i} " + "ü\u4e2d" * 250
        table.add(mask, 1, ERROR, name, mask + "!" * 600, is_exact=True)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used < 500 * 600
    assert 50 < len(table) < 500


def test_a_place_takes_500_bytes() -> None:
    table = make(4_000)
    names = [sys.intern(f"source-{i}") for i in range(50)]
    tracemalloc.start()
    for i in range(5_000):
        mask = f"component number {i} lost its connection to the host <ip> after 0 ms of it all"
        example = mask.replace("<ip>", "10.1.2.3")
        table.add(mask, 1, UNSURE if i % 2 else ERROR, names[i % 50], example, is_exact=True)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used < 4_000 * 500
    assert len(table) > 3_600


def test_another_edition_counts_its_own_verdicts() -> None:
    table = make()
    add(table, "m", 5, ERROR)
    table.forget_verdicts()
    assert [count for _, count, _ in entries(table)["m"].verdicts] == [5]
    add(table, "m", 1, OTHER)
    one = entries(table)["m"]
    assert [(said.rule, count) for said, count, _ in one.verdicts] == [("r-2", 1)]
    assert one.count == 6


def test_the_fallback_given_by_a_rule_says_that_there_is_no_event() -> None:
    table = make()
    add(table, "m", 1, Verdict("Unclassified", "rule", 1.0, "r"))
    assert entries(table)["m"].verdicts[0][0].reason == "none_of_these"


def test_sources_beyond_the_places_are_counted_together() -> None:
    table = SourceTable(named=2, places=3, clock=ManualClock(5.0))
    for i in range(2_000):
        table.add("heavy", ERROR, 1)
        table.add(f"one-{i}", ERROR, 1)
    counts = table.counts()
    assert len(counts) == 3
    assert counts[0].source == "heavy"
    assert counts[0].count == 2_000
    total = sum(one.count - one.error for one in counts) + table.others.count
    assert total == 4_000
    moves = table.take_moves()
    assert set(moves) == {("heavy", "Error"), ("other", "Error")}
    assert sum(moves.values()) == 4_000
    assert table.take_moves() == {}


def test_few_sources_have_metrics_at_once_and_heavy_ones_of_many_find_a_place() -> None:
    few = SourceTable(named=20)
    for _ in range(100):
        for i in range(8):
            few.add(f"service-{i}", ERROR, 1)
    named = {source for source, _ in few.take_moves()} - {"other"}
    assert named == {f"service-{i}" for i in range(8)}
    many = SourceTable(named=20)
    for second in range(1_000):
        for i in range(15):
            many.add(f"heavy-{i}", ERROR, 2)
        many.add(f"job-{second}", ERROR, 1)
    names = {source for source, _ in many.take_moves()} - {"other"}
    assert {f"heavy-{i}" for i in range(15)} <= names
    assert len(names) <= 20
