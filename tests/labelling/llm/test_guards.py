"""Limits hold whatever the load, and a failing provider is left alone."""

from __future__ import annotations

import asyncio

import pytest

from tests.labelling.llm.conftest import Opening
from tests.labelling.llm.standin import Fault, Standin
from waybill.core.retry import retry_after_secs
from waybill.labelling.llm.breaker import Breaker
from waybill.labelling.llm.errors import Refused
from waybill.labelling.llm.guards import Guards
from waybill.labelling.llm.ledger import Ledger
from waybill.labelling.llm.store_sqlite import SqliteStore
from waybill.labelling.llm.window import LocalWindow

WORDS = [
    a + b
    for a in ("red", "blue", "green", "black", "white", "grey")
    for b in ("fox", "cat", "owl", "bee", "ant")
]


class Clock:
    """Time that moves when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def memory() -> SqliteStore:
    store = SqliteStore(None, max_secs=1000, max_bytes=1 << 20)
    await store.open()
    return store


async def test_a_window_never_holds_more_than_its_limit_in_any_minute() -> None:
    clock = Clock()
    window = LocalWindow(5, clock)
    ended: list[float] = []
    for i in range(2000):
        clock.now += 0.37
        if await window.enter(str(i)) <= 0:
            clock.now += i % 7  # the call takes its time
            await window.leave(str(i), was_made=True)
            ended.append(clock.now)
    assert len(ended) > 20
    assert all(later - earlier >= 60 for earlier, later in zip(ended, ended[5:], strict=False))


async def test_a_share_below_one_call_a_minute_is_a_call_in_several_minutes() -> None:
    clock = Clock()
    window = LocalWindow(30 / 100, clock)
    assert await window.enter("a") == 0
    await window.leave("a", was_made=True)
    assert await window.enter("b") == pytest.approx(200)
    clock.now += 201
    assert await window.enter("b") == 0


async def test_a_call_that_was_not_made_gives_its_slot_back() -> None:
    window = LocalWindow(1, Clock())
    for call in "abc":
        assert await window.enter(call) == 0
        await window.leave(call, was_made=False)


@pytest.mark.parametrize(
    "fault", [None, Fault("status", status=429), Fault("status", status=429, retry_after="0")]
)
async def test_calls_per_minute_never_exceed_the_limit_at_the_stand_in(
    opening: Opening, standin: Standin, fault: Fault | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The storm of a shipper in a hurry, with the minute shortened to a second."""
    real = LocalWindow.__init__

    def short(self: LocalWindow, per_minute: float) -> None:
        real(self, per_minute)
        self._secs /= 60

    monkeypatch.setattr(LocalWindow, "__init__", short)
    standin.habit = fault
    limit = 6
    async with opening(
        requests_per_minute=limit, pack_messages=1, wait_ms=100, breaker_secs=1, calls=4
    ) as bench:
        for _ in range(3):
            await asyncio.gather(*(bench.label(f"{word} failed") for word in WORDS))
            await asyncio.sleep(0.5)
    times = standin.times
    assert len(times) > 2
    assert all(later - earlier >= 1 for earlier, later in zip(times, times[limit:], strict=False))


async def test_the_days_tokens_end_and_begin_again_at_midnight() -> None:
    clock = Clock()
    clock.now = 86_400 * 10 + 5
    ledger = Ledger(await memory(), tokens_per_day=1000, clock=clock)
    reserved = await ledger.reserve(500, 300)
    await ledger.settle(reserved, 400, 0)
    await ledger.reserve(300, 300)
    with pytest.raises(Refused, match="day_tokens"):
        await ledger.reserve(1, 0)
    clock.now += 86_400
    await ledger.reserve(1000, 0)


async def test_money_is_reserved_before_it_is_spent() -> None:
    ledger = Ledger(await memory(), budget_per_day=0.01, price_in=1, price_out=10, clock=Clock())
    outcomes = await asyncio.gather(
        *(ledger.reserve(1000, 100) for _ in range(20)), return_exceptions=True
    )
    assert sum(not isinstance(one, Refused) for one in outcomes) == 5
    assert {str(one) for one in outcomes if isinstance(one, Refused)} == {"day_budget"}


async def test_a_failing_store_does_not_lift_the_limits() -> None:
    store = await memory()
    ledger = Ledger(store, tokens_per_day=1000, clock=Clock())
    await ledger.reserve(600, 0)
    await store.close()
    await ledger.reserve(300, 0)
    with pytest.raises(Refused):
        await ledger.reserve(300, 0)


def test_the_breaker_lets_one_probe_through() -> None:
    clock = Clock()
    breaker = Breaker(2, 30, clock)
    breaker.failed()
    breaker.succeeded()
    for _ in range(2):
        breaker.check()
        breaker.begin()
        breaker.failed()
    assert str(breaker.state) == "open"
    clock.now += 30
    breaker.check()
    breaker.begin()
    with pytest.raises(Refused):
        breaker.check()
    breaker.failed()
    assert str(breaker.state) == "open"
    clock.now += 30
    breaker.begin()
    breaker.released()  # the probe said nothing: the next one may try
    breaker.check()
    breaker.begin()
    breaker.succeeded()
    assert str(breaker.state) == "closed"


async def test_a_pause_is_bounded_and_never_shortened() -> None:
    clock = Clock()
    guards = Guards(LocalWindow(60, clock), Ledger(await memory()), Breaker(1, 1, clock), clock)
    guards.pause(1e9)
    guards.pause(1)
    with pytest.raises(Refused, match="rate_limited"):
        await guards.admit()
    clock.now += 3601
    await guards.admit()


@pytest.mark.parametrize(
    ("text", "secs"),
    [
        (None, None),
        ("0", 0),
        ("2.5", 2.5),
        ("-3", 0),
        ("1e9", 3600),
        ("nan", None),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:20:00 GMT", 200),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0),
    ],
)
def test_retry_after_in_all_its_spellings(text: str | None, secs: float | None) -> None:
    assert retry_after_secs(text, 1000.0) == secs
