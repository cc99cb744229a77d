"""Limits hold whatever the load, and a failing provider is left alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.labelling.llm.conftest import Opening
from tests.labelling.llm.standin import Fault, Standin
from waybill.core.retry import retry_after_secs
from waybill.labelling.llm import build
from waybill.labelling.llm.breaker import Breaker
from waybill.labelling.llm.errors import Refused, StoreError
from waybill.labelling.llm.guards import Guards
from waybill.labelling.llm.ledger import Ledger
from waybill.labelling.llm.store import Usage
from waybill.labelling.llm.store_sqlite import SqliteStore
from waybill.labelling.llm.window import LocalWindow
from waybill.settings.schema import LlmSettings

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


class Away:
    """A shared store that does not answer, for as long as ``is_away``."""

    def __init__(self) -> None:
        self.is_away = True
        self.days: dict[int, Usage] = {}

    async def add_usage(self, day: int, tokens: int, micros: int) -> Usage:
        if self.is_away:
            raise StoreError("redis")
        spent = self.days.get(day, Usage())
        self.days[day] = Usage(spent.tokens + tokens, spent.micros + micros)
        return self.days[day]


async def spend(ledger: Ledger, step: int = 100) -> int:
    """Reserve until it is refused; how many tokens that were."""
    spent = 0
    while True:
        try:
            await ledger.reserve(step, 0)
        except Refused:
            return spent
        spent += step


async def test_nodes_without_their_store_spend_no_more_than_all_may() -> None:
    store, clock = Away(), Clock()
    ledgers = [
        Ledger(store, tokens_per_day=10_000, own=await memory(), own_share=1 / 5, clock=clock)
        for _ in range(5)
    ]
    assert [await spend(ledger) for ledger in ledgers[:4]] == [2000] * 4
    store.is_away = False
    # Nobody spends more before all have told the store what they spent meanwhile.
    assert [await spend(ledger) for ledger in ledgers[:4]] == [0] * 4
    clock.now += 601
    assert [await spend(ledger) for ledger in ledgers] == [2000, 0, 0, 0, 0]
    assert store.days == {0: Usage(10_000)}


async def test_what_was_known_of_all_counts_while_the_store_is_away() -> None:
    store = Away()
    store.is_away = False
    store.days[0] = Usage(9900)
    ledger = Ledger(store, tokens_per_day=10_000, own_share=1 / 2, clock=Clock())
    await ledger.reserve(50, 0)
    store.is_away = True
    await ledger.reserve(25, 0)  # half of what was left
    with pytest.raises(Refused, match="day_tokens"):
        await ledger.reserve(1, 0)


@pytest.mark.parametrize("others_call", [True, False])
async def test_nodes_share_what_is_left_when_their_store_goes_away(others_call: bool) -> None:
    store, clock = Away(), Clock()
    store.is_away = False
    ledgers = [
        Ledger(store, tokens_per_day=10_000, own=await memory(), own_share=1 / 5, clock=clock)
        for _ in range(5)
    ]
    for _ in range(59):
        await ledgers[0].reserve(100, 0)
    for ledger in ledgers:
        await (ledger.reserve(20, 0) if others_call else ledger.look())
    store.is_away = True
    away = [await spend(ledger, 10) for ledger in ledgers]
    assert away[0] == 0
    assert 3_000 < sum(away) <= 4_000
    store.is_away = False
    for _ in range(2):  # at first all tell what they spent meanwhile
        for ledger in ledgers:
            await spend(ledger, 10)
        clock.now += 601
    assert 9_900 < store.days[0].tokens <= 10_000


@pytest.mark.parametrize("workers", [1, 3])
async def test_a_restart_does_not_begin_the_day_anew(tmp_path: Path, workers: int) -> None:
    spent = 0
    for _ in range(3):
        ledgers = []
        for _ in range(workers):
            own = SqliteStore(tmp_path / "usage", max_secs=1000, max_bytes=1 << 20, clock=Clock())
            await own.open()
            ledgers.append(
                Ledger(Away(), tokens_per_day=4000, own=own, own_share=1 / 2, clock=Clock())
            )
        for ledger in ledgers:
            spent += await spend(ledger)
    assert spent == 2000


async def test_a_clock_that_is_set_back_and_forth_does_not_begin_the_day_anew() -> None:
    clock = Clock()
    clock.now = 86_400 * 10.0
    ledger = Ledger(Away(), tokens_per_day=1000, clock=clock)
    assert await spend(ledger) == 1000
    clock.now -= 86_400
    assert await spend(ledger) == 1000
    clock.now += 86_400
    assert await spend(ledger) == 0


async def test_a_day_is_divided_among_nodes_and_workers_while_redis_is_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    limits: dict[str, object] = {"nodes": 5, "tokens_per_day": 1000}
    remote = LlmSettings(store="redis://127.0.0.1:9/0", **limits)  # type: ignore[arg-type]
    own, share = await build._open_own_count(remote, workers=2, nodes=1)
    assert own is not None
    assert share == 1 / 5  # its file is shared by both workers
    await own.close()
    local = LlmSettings(**limits)  # type: ignore[arg-type]
    assert await build._open_own_count(local, workers=2, nodes=5) == (None, 1 / 2)
    assert await build._open_own_count(local, workers=2, nodes=10) == (None, 1)


async def test_who_never_asks_hears_what_all_have_spent(
    opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = asyncio.Event()

    async def look(_: Ledger) -> None:
        looks.set()

    monkeypatch.setattr(build, "_LOOK_SECS", 0.001)
    monkeypatch.setattr(Ledger, "look", look)
    async with opening():
        await looks.wait()


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
