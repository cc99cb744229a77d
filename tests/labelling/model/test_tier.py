"""The micro-batcher: order, sharing, bounds, swap and close, on a bundle that waits on command."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import numpy as np
import pytest

from waybill.core.errors import TierUnavailable
from waybill.labelling.model.bundle import Bundle, Floats, Prediction
from waybill.labelling.model.tier import ModelTier


class FakeBundle:
    """Labels a text with itself; ``gate`` holds the worker, ``boom`` makes embedding fail."""

    def __init__(self, version: str = "fake@1", encoder_hash: str = "enc") -> None:
        self.version, self.encoder_hash = version, encoder_hash
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Semaphore(0)
        self._texts: dict[float, str] = {}

    def embed(self, texts: Sequence[str]) -> Floats:
        self.started.release()
        self.threads.add(threading.get_ident())
        assert self.gate.wait(30)
        self.batches.append(list(texts))
        if "boom" in texts:
            raise RuntimeError("onnxruntime says no")
        return np.array([[self.number(text)] * 4 for text in texts], np.float32).reshape(
            len(texts), 4
        )

    def number(self, text: str) -> float:
        return float(int.from_bytes(text.encode()[:3], "big"))

    def classify(self, embeddings: Floats, texts: Sequence[str]) -> list[Prediction]:
        return [Prediction(str(int(row[0])), 1.0, 0.0, True, self.version) for row in embeddings]

    def expected(self, text: str) -> str:
        return str(int(self.number(text)))


def make_tier(bundle: FakeBundle, **options: Any) -> ModelTier:
    return ModelTier(cast("Bundle", bundle), **options)


@pytest.fixture
def bundle() -> FakeBundle:
    return FakeBundle()


@pytest.fixture
async def tier(bundle: FakeBundle) -> AsyncIterator[ModelTier]:
    tier = make_tier(bundle, batch_size=4)
    yield tier
    bundle.gate.set()
    await tier.close()


async def begun(bundle: FakeBundle) -> None:
    """Wait until a batch has reached the worker."""
    assert await asyncio.to_thread(bundle.started.acquire, True, 30)


def code_of(outcome: object) -> str:
    assert isinstance(outcome, TierUnavailable)
    return outcome.code


async def test_predictions_come_in_order(tier: ModelTier, bundle: FakeBundle) -> None:
    texts = [f"t{n}" for n in range(30)]
    predictions = await asyncio.gather(*tier.submit(texts))
    assert [p.label for p in predictions] == [bundle.expected(text) for text in texts]
    assert max(map(len, bundle.batches)) <= 4


async def test_an_empty_submit_gives_no_futures(tier: ModelTier) -> None:
    assert tier.submit([]) == []


async def test_equal_texts_are_embedded_once(tier: ModelTier, bundle: FakeBundle) -> None:
    await asyncio.gather(*tier.submit(["a", "a", "b", "a"]), *tier.submit(["b", "a"]))
    assert sorted(text for batch in bundle.batches for text in batch) == ["a", "b"]
    assert tier.stats.shared == 4


async def test_a_text_under_way_is_joined(tier: ModelTier, bundle: FakeBundle) -> None:
    bundle.gate.clear()
    (first,) = tier.submit(["a"])
    await begun(bundle)
    (second,) = tier.submit(["a"])
    bundle.gate.set()
    assert await first is await second
    assert bundle.batches == [["a"]]


async def test_work_runs_off_the_event_loop_on_one_thread(
    tier: ModelTier, bundle: FakeBundle
) -> None:
    await asyncio.gather(*tier.submit([str(n) for n in range(20)]))
    assert len(bundle.threads) == 1
    assert threading.get_ident() not in bundle.threads


async def test_a_cancelled_waiter_does_not_break_the_others(
    tier: ModelTier, bundle: FakeBundle
) -> None:
    bundle.gate.clear()
    first, other = tier.submit(["a", "b"])
    await begun(bundle)
    (second,) = tier.submit(["a"])
    first.cancel()
    bundle.gate.set()
    assert (await second).label == bundle.expected("a")
    assert (await other).label == bundle.expected("b")


async def test_a_text_that_nobody_waits_for_is_not_embedded(
    tier: ModelTier, bundle: FakeBundle
) -> None:
    bundle.gate.clear()
    (first,) = tier.submit(["a"])
    await begun(bundle)
    (gone,) = tier.submit(["b"])
    gone.cancel()
    bundle.gate.set()
    await first
    await asyncio.gather(*tier.submit(["c"]))
    assert bundle.batches == [["a"], ["c"]]


async def test_a_full_queue_is_overloaded_and_takes_none_of_the_texts(bundle: FakeBundle) -> None:
    tier = make_tier(bundle, batch_size=1, queue_messages=2)
    bundle.gate.clear()
    taken = tier.submit(["a"])
    await begun(bundle)
    taken += tier.submit(["b", "c"])
    with pytest.raises(TierUnavailable) as caught:
        tier.submit(["d"])
    assert caught.value.code == "overloaded"
    taken += tier.submit(["a", "b", "c"])
    bundle.gate.set()
    assert len(await asyncio.gather(*taken)) == 6
    await tier.close()
    assert ["d"] not in bundle.batches


async def test_a_failure_reaches_its_own_batch_only(bundle: FakeBundle) -> None:
    tier = make_tier(bundle, batch_size=1)
    outcomes = await asyncio.gather(*tier.submit(["a", "boom", "c"]), return_exceptions=True)
    assert code_of(outcomes[1]) == "failed"
    assert [o.label for o in outcomes if isinstance(o, Prediction)] == [
        bundle.expected("a"),
        bundle.expected("c"),
    ]
    assert tier.stats.failed == 1
    again = await asyncio.gather(*tier.submit(["boom"]), return_exceptions=True)
    assert code_of(again[0]) == "failed"
    await tier.close()


async def test_a_batch_ends_with_the_bundle_it_began_with(bundle: FakeBundle) -> None:
    tier = make_tier(bundle, batch_size=2)
    bundle.gate.clear()
    old = tier.submit(["a", "b"])
    await begun(bundle)
    queued = tier.submit(["c"])
    fresh = FakeBundle("fake@2", "enc")
    tier.swap(cast("Bundle", fresh))
    late = tier.submit(["a", "c"])
    bundle.gate.set()
    assert [p.version for p in await asyncio.gather(*old)] == ["fake@1"] * 2
    assert [p.version for p in await asyncio.gather(*queued, *late)] == ["fake@2"] * 3
    assert tier.version == "fake@2"
    await tier.close()


async def test_a_new_classifier_needs_no_new_embeddings_but_a_new_encoder_does(
    bundle: FakeBundle,
) -> None:
    tier = make_tier(bundle)
    await asyncio.gather(*tier.submit(["a"]))
    same, other = FakeBundle("fake@2", "enc"), FakeBundle("fake@3", "other")
    tier.swap(cast("Bundle", same))
    assert (await tier.submit(["a"])[0]).version == "fake@2"
    assert same.batches == [[]]
    tier.swap(cast("Bundle", other))
    assert (await tier.submit(["a"])[0]).version == "fake@3"
    assert other.batches == [["a"]]
    await tier.close()


@pytest.mark.parametrize("cache_bytes", [0, 1200])
async def test_the_embedding_cache_is_bounded(bundle: FakeBundle, cache_bytes: int) -> None:
    tier = make_tier(bundle, embedding_cache_bytes=cache_bytes)
    for _ in range(2):
        predictions = await asyncio.gather(*tier.submit([str(n) for n in range(9)]))
        assert len(predictions) == 9
    assert tier._cache.currsize <= cache_bytes
    await tier.close()


async def test_close_answers_what_runs_and_rejects_what_waits(bundle: FakeBundle) -> None:
    tier = make_tier(bundle, batch_size=1)
    bundle.gate.clear()
    running = tier.submit(["a"])
    await begun(bundle)
    waiting = tier.submit(["b", "c"])
    closing = asyncio.ensure_future(tier.close())
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [code_of(outcome) for outcome in outcomes] == ["closed", "closed"]
    bundle.gate.set()
    await closing
    assert running[0].result().label == bundle.expected("a")
    await tier.close()
    with pytest.raises(TierUnavailable):
        tier.submit(["d"])


async def test_several_threads_run_batches_side_by_side(bundle: FakeBundle) -> None:
    tier = make_tier(bundle, batch_size=1, threads=2)
    bundle.gate.clear()
    futures = tier.submit(["a", "b"])
    await begun(bundle)
    await begun(bundle)
    bundle.gate.set()
    assert [p.label for p in await asyncio.gather(*futures)] == [
        bundle.expected("a"),
        bundle.expected("b"),
    ]
    await tier.close()


async def test_the_clock_times_the_batches(bundle: FakeBundle) -> None:
    ticks = iter(range(100))
    tier = make_tier(bundle, clock=lambda: float(next(ticks)))
    await asyncio.gather(*tier.submit(["a"]))
    assert tier.stats.busy_secs == 1.0
    await tier.close()
