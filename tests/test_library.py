"""The library call: what it takes, what it refuses, and that it ends what it began."""

from __future__ import annotations

import asyncio
import functools
import gc
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.labelling.llm.standin import Standin
from tests.labelling.llm.tier_rig import SEED
from waybill import classify, classify_records, library
from waybill.labelling.rules import loading
from waybill.library import Classified, Labeller, Labellers, Record
from waybill.settings.sources import load_settings

MESSAGE = "User User123 logged in."


def test_pairs_and_mappings_are_taken_alike() -> None:
    records: list[Record] = [
        ("ModernCRM", MESSAGE),
        {"source": "ModernCRM", "log_message": MESSAGE},
        {"service": "ModernCRM", "message": MESSAGE, "other": 5},
        {"log": MESSAGE, "kubernetes": {"container_name": "ModernCRM"}},
    ]
    found = classify(records)
    assert found == [("ModernCRM", MESSAGE, "User Action", 1.0)] * 4
    assert classify(iter(records)) == found
    assert classify([]) == []


def test_the_configured_fields_are_read() -> None:
    record = {"text": MESSAGE, "from": "ModernCRM", "log": "not this"}
    overrides = ['fields.message=["text"]', 'fields.source=["from"]']
    assert classify([record], overrides=overrides)[0][:3] == ("ModernCRM", MESSAGE, "User Action")


def test_the_richer_form_says_who_decided_and_why_not() -> None:
    known, unknown = classify_records([("ModernCRM", MESSAGE), ("LegacyCRM", "anything")])
    assert (known.tier, known.rule, known.reason) == ("rule", "user-login-logout", None)
    assert (unknown.label, unknown.tier, unknown.reason) == ("Unclassified", "none", "llm_disabled")


def test_half_a_character_costs_itself() -> None:
    odd = [("shop", "M\udcfcller is not a word of any list"), ("sh\ud83dop", "nor is this one")]
    found = classify_records([*odd, ("shop", f"\ud83d {MESSAGE}")])
    assert [one.reason for one in found if one.reason == "model_failed"] == []
    assert [one[:2] for one in found[:2]] == odd
    assert found[2].label == classify_records([("shop", MESSAGE)])[0].label


@pytest.mark.parametrize(
    ("records", "told"),
    [
        (["a text"], "record 0 is a str"),
        ([MESSAGE, MESSAGE], "record 0 is a str"),
        ([("a", "b", "c")], "a tuple of 3: str, str, str"),
        ([("a", "b"), ("a", None)], "record 1 is a tuple of 2: str, NoneType"),
        ([5], "record 0 is a int"),
        ([{"source": "a", "words": "b"}], "no text in any of log, .*it has source, words"),
        ([{"source": "a", "log": 5}], "no text in any of"),
        ([{}], "no text in any of"),
        ("a text", "not one str"),
        ({"source": "a", "log": "b"}, r"not one dict.*\[record\]"),
    ],
)
def test_other_shapes_are_refused_with_what_is_expected(records: object, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        classify(records)  # type: ignore[arg-type]


NEW = [("shop", f"unseen {a} of {b} went by") for a in "abcdefg" for b in "hijklmnop"]


def assert_the_model_was_asked(found: list[Classified]) -> None:
    assert "model" in {one.tier for one in found}
    assert {one.reason for one in found} <= {None, "unknown", "low_confidence", "none_of_these"}


@pytest.mark.parametrize(
    "overrides", [("model.over_budget=defer", "model.budget_ms=0"), ("model.queue_messages=16",)]
)
def test_whoever_waits_for_no_shipper_gets_what_the_model_says(overrides: tuple[str, ...]) -> None:
    with Labeller(load_settings(overrides=overrides)) as one:
        found = one.classify(NEW)
    assert_the_model_was_asked(found)
    assert [(one.source, one.message) for one in found] == NEW


def test_callers_side_by_side_get_their_own_answers() -> None:
    with (
        Labeller(load_settings(overrides=["model.queue_messages=16"])) as one,
        ThreadPoolExecutor(4) as pool,
    ):
        parts = [NEW[at::4] for at in range(4)]
        for part, found in zip(parts, pool.map(one.classify, parts), strict=True):
            assert [(each.source, each.message) for each in found] == part
            assert_the_model_was_asked(found)


def test_a_call_waits_for_the_llm(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("first-key\n")
    settings = [
        "model.path=null", "llm.provider=groq", f"llm.api_key_file={key}",
        f"llm.store={tmp_path / 'llm.sqlite'}", "llm.wait_ms=1", "llm.queue_messages=8",
    ]  # fmt: skip

    async def classified() -> list[Classified]:
        async with Standin().running() as standin:
            settings.append(f"llm.base_url={standin.url}")
            one = await asyncio.to_thread(Labeller, load_settings(overrides=settings))
            records = [("LegacyCRM", line) for line, _ in SEED] * 5
            try:
                return await asyncio.to_thread(one.classify, records)
            finally:
                await asyncio.to_thread(one.close)

    found = asyncio.run(classified())
    assert [one.label for one in found] == [expected for _, expected in SEED] * 5


def test_a_config_is_a_path_or_its_text(tmp_path: Path) -> None:
    file = tmp_path / "waybill.yaml"
    file.write_text("fields: {message: [said]}\nmodel: {path: null}\n")
    record = {"source": "ModernCRM", "said": MESSAGE}
    assert classify([record], str(file)) == classify([record], file)


def test_one_override_without_a_list_is_refused() -> None:
    with pytest.raises(TypeError, match=r"write overrides=\['memo.bytes=0'\]"):
        classify([], overrides="memo.bytes=0")


def until(condition: Callable[[], bool]) -> bool:
    for _ in range(500):
        if condition():
            return True
        gc.collect()
        time.sleep(0.01)
    return False


def test_a_labeller_that_is_pushed_out_ends_its_thread() -> None:
    kept = Labellers()
    threads = []
    for budget in range(1, 7):
        one = kept.of(None, ("model.path=null", f"memo.bytes={budget}000000"))
        threads.append(one._thread)
        del one
    assert until(lambda: sum(thread.is_alive() for thread in threads) == library._MOST_LOADED)
    del kept
    assert until(lambda: not any(thread.is_alive() for thread in threads))


def test_callers_that_come_first_at_the_same_time_share_one() -> None:
    kept = Labellers()
    together = threading.Barrier(4)

    def ask(_: int) -> Labeller:
        together.wait()
        return kept.of(None, ("model.path=null",))

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, range(4)))) == 1


def test_labellers_of_the_same_rules_are_opened_side_by_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loading, "_compiled", {})
    together = threading.Barrier(3)

    def label(memo: int) -> str:
        settings = load_settings(overrides=["model.path=null", f"memo.bytes={memo}000000"])
        together.wait()
        with Labeller(settings) as one:
            return one.classify([("ModernCRM", MESSAGE)])[0].label

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(label, range(1, 4))) == ["User Action"] * 3


def test_a_process_that_is_forked_labels_for_itself() -> None:
    overrides = ("model.path=null",)
    expected = classify([("ModernCRM", MESSAGE)], overrides=overrides)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        found = pool.map(functools.partial(classify, overrides=overrides), [[(MESSAGE, MESSAGE)]])
        assert [one[0][2:] for one in found] == [expected[0][2:]]
    assert classify([("ModernCRM", MESSAGE)], overrides=overrides) == expected


_inherited: list[Labeller] = []


def _use_inherited(_: int) -> str:
    """What a process that was forked is told; closing does no harm there."""
    _inherited[0].close()
    with pytest.raises(RuntimeError) as told:
        _inherited[0].classify([("ModernCRM", MESSAGE)])
    return str(told.value)


def test_a_labeller_of_the_parent_says_so_in_a_fork() -> None:
    with Labeller(load_settings(overrides=["model.path=null"])) as one:
        _inherited[:] = [one]
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
            assert "from which this one was forked" in next(pool.map(_use_inherited, [0]))
        _inherited.clear()
        assert one.classify([("ModernCRM", MESSAGE)])[0].label == "User Action"


def test_a_labeller_can_be_closed_twice_and_ends_at_once() -> None:
    with Labeller(load_settings(overrides=["model.path=null"])) as one:
        assert one._thread.is_alive()
        assert one.classify([("ModernCRM", MESSAGE)])[0].label == "User Action"
        one.close()
    assert not one._thread.is_alive()


def test_what_is_interrupted_is_given_up_at_once() -> None:
    """A Ctrl-C meets the thread that waits, not the one that works."""
    # A shell's `&` starts programs that ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _interrupt_one_that_waits()
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt_one_that_waits() -> None:
    with Labeller(load_settings(overrides=["model.path=null"])) as one:
        ended, waiting = threading.Event(), threading.get_ident()

        async def works_on() -> None:
            signal.pthread_kill(waiting, signal.SIGINT)
            try:
                await asyncio.sleep(3600)
            finally:
                ended.set()

        with pytest.raises(KeyboardInterrupt):
            one._wait(works_on())
        assert ended.wait(30)
        assert one.classify([("ModernCRM", MESSAGE)])[0].label == "User Action"
