"""Counting while records are labelled."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from waybill.core.clock import ManualClock
from waybill.core.reasons import PatternFault
from waybill.core.records import Verdict
from waybill.labelling.groups import UNDECIDED
from waybill.labelling.masking import mask
from waybill.patterns.rare import RARE_RECORDS, RARE_SECS
from waybill.patterns.sources import SourceTable
from waybill.patterns.table import PatternTable
from waybill.patterns.watch import Watch

COMMON = Verdict("Error", "rule", 1.0, "common")
RARE = Verdict("Critical Error", "rule", 1.0, "rare")
LATER = Verdict("User Action", "model", 0.9, "m@1")


class Told:
    """What was told."""

    def __init__(self) -> None:
        self.faults: list[PatternFault] = []

    def pattern_new(self, label: str) -> None: ...

    def pattern_failed(self, fault: PatternFault) -> None:
        self.faults.append(fault)


def make(every: int = 32, clock: Callable[[], float] | None = None, spare: int = 0) -> Watch:
    return Watch(
        PatternTable(1000, "Unclassified"),
        SourceTable(named=0),
        Told(),
        sample_every=every,
        message_chars=16_384,
        spare=spare,
        chance=random.Random(7),
        clock=clock or ManualClock(0.0),
    )


def counts(watch: Watch) -> dict[str, int]:
    watch.settle()
    found = [watch.table.entry(slot) for slot in watch.table.slots()]
    return {one.mask: one.count for one in found if one is not None}


def see(watch: Watch, messages: Sequence[str], verdict: Verdict, *, is_fresh: bool = False) -> None:
    verdicts = [verdict] * len(messages)
    fresh = range(len(messages)) if is_fresh else ()
    watch.saw_at_once(messages, ["s"] * len(messages), verdicts, fresh)
    watch.counted(Counter(verdicts))


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_batches_of_any_size_come_out_right(size: int) -> None:
    watch = make()
    for _ in range(20_000 // size):
        see(watch, ["disk full"] * size, COMMON)
    # The verdict is the pattern's own: what is not counted yet waits for the next sample.
    assert counts(watch)["disk full"] == pytest.approx(20_000, rel=0.02)


def test_no_place_in_a_batch_is_favoured() -> None:
    watch = make()
    for _ in range(300):
        see(watch, ["first one"] + ["others"] * 62 + ["last one"], COMMON)
    found = counts(watch)
    assert found["first one"] == pytest.approx(300, rel=0.9)
    assert found["last one"] == pytest.approx(300, rel=0.9)
    assert sum(found.values()) == pytest.approx(300 * 64, rel=0.02)


def test_the_sum_by_verdict_is_exact_where_patterns_share_a_rule() -> None:
    watch = make()
    for _ in range(100):
        see(watch, [f"job {name} failed" for name in "abcde" * 40], COMMON)
    assert sum(counts(watch).values()) == pytest.approx(20_000, rel=0.01)


def test_the_first_record_of_a_rare_verdict_is_never_missed() -> None:
    watch = make(every=10_000)
    see(watch, ["all well"] * 100, COMMON, is_fresh=True)
    see(watch, ["core meltdown"], RARE, is_fresh=True)
    found = counts(watch)
    assert found["core meltdown"] == 1
    # Of the common one only as many were looked at.
    assert found["all well"] == RARE_RECORDS


def test_what_was_common_may_be_rare_later() -> None:
    clock = ManualClock(0.0)
    watch = make(every=10_000, clock=clock)
    see(watch, ["a b c"] * 100, COMMON, is_fresh=True)
    clock.advance(RARE_SECS + 1)
    see(watch, ["x y z"], COMMON, is_fresh=True)
    assert counts(watch)["x y z"] == 1


def test_what_waits_for_a_slow_tier_is_counted_once() -> None:
    watch = make(every=1)
    messages = ["User a1 left", "User b2 left", "disk full"]
    sources = ["crm", "crm", "db"]
    verdicts = [UNDECIDED, UNDECIDED, COMMON]
    watch.saw_at_once(messages, sources, verdicts, ())
    after = [LATER, LATER, COMMON]
    asyncio.run(watch.saw_later({mask(messages[0]): [0, 1]}, messages, sources, after))
    watch.counted(Counter(after))
    assert counts(watch) == {mask(messages[0]): 2, "disk full": 1}
    assert {one.source: one.count for one in watch.sources.counts()} == {"crm": 2, "db": 1}


def test_more_sources_than_can_be_told_apart_lose_no_record() -> None:
    watch = make()
    sources = [f"s{i}" for i in range(500)]
    asyncio.run(watch.saw_later({"m": range(500)}, ["m"] * 500, sources, [LATER] * 500))
    assert counts(watch)["m"] == 500
    told = sum(one.count for one in watch.sources.counts()) + watch.sources.others.count
    assert told == 500


@pytest.mark.parametrize("message", [None, "", " ", "\ud800", "\x1b[31m", "a" * 200_000])
def test_odd_messages_harm_nobody(message: str | None) -> None:
    watch = make(every=1)
    watch.saw_at_once([message, "disk full"], ["", "s" * 9999], [COMMON, COMMON], [0])
    assert counts(watch)["disk full"] == 1
    assert not watch_faults(watch)


def watch_faults(watch: Watch) -> list[PatternFault]:
    told = watch._telemetry
    assert isinstance(told, Told)
    return told.faults


def test_a_failure_is_told_and_goes_no_further() -> None:
    watch = make(every=1)
    wrong: list[str] = []  # fewer sources than messages
    watch.saw_at_once(["a", "b"], wrong, [COMMON, COMMON], [0, 1])
    asyncio.run(watch.saw_later({"m": [5]}, ["a"], ["s"], [COMMON]))
    assert watch_faults(watch) == ["count", "count"]


def test_where_little_is_logged_every_record_is_counted() -> None:
    clock = ManualClock(0.0)
    watch = make(every=10_000, clock=clock, spare=100)
    for second in range(5):
        see(watch, ["disk full"] * 60, COMMON)
        see(watch, ["disk empty"] * 30, RARE)
        assert counts(watch) == {"disk full": 60 * (second + 1), "disk empty": 30 * (second + 1)}
        clock.advance(1.0)
