"""The micro-batcher: order, sharing, bounds, swap and close, on a bundle that waits on command."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import numpy as np
import pytest

from waybill.core.errors import TierUnavailable
from waybill.labelling.model.answer import Prediction
from waybill.labelling.model.batcher import Batcher
from waybill.labelling.model.bundle import Bundle
from waybill.labelling.model.embeddings import Embeddings
from waybill.labelling.model.encoders.base import Floats
from waybill.labelling.telemetry import Recording


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


def make_batcher(bundle: FakeBundle, **options: Any) -> Batcher:
    return Batcher(cast("Bundle", bundle), **options)


def answered(recording: Recording) -> dict[str, int]:
    """Texts by what became of them."""
    return {
        key[1]: count
        for key, count in recording.counts.items()
        if key[0] == "model_answered" and count
    }


@pytest.fixture
def bundle() -> FakeBundle:
    return FakeBundle()


@pytest.fixture
def recording() -> Recording:
    return Recording()


@pytest.fixture
async def batcher(bundle: FakeBundle, recording: Recording) -> AsyncIterator[Batcher]:
    batcher = make_batcher(bundle, batch_size=4, telemetry=recording)
    yield batcher
    bundle.gate.set()
    await batcher.close()


async def begun(bundle: FakeBundle) -> None:
    """Wait until a batch has reached the worker."""
    assert await asyncio.to_thread(bundle.started.acquire, True, 30)


def code_of(outcome: object) -> str:
    assert isinstance(outcome, TierUnavailable)
    return outcome.code


async def test_predictions_come_in_order(batcher: Batcher, bundle: FakeBundle) -> None:
    texts = [f"t{n}" for n in range(30)]
    predictions = await asyncio.gather(*batcher.submit(texts))
    assert [p.label for p in predictions] == [bundle.expected(text) for text in texts]
    assert max(map(len, bundle.batches)) <= 4


async def test_an_empty_submit_gives_no_futures(batcher: Batcher) -> None:
    assert batcher.submit([]) == []


async def test_equal_texts_are_embedded_once(
    batcher: Batcher, bundle: FakeBundle, recording: Recording
) -> None:
    await asyncio.gather(*batcher.submit(["a", "a", "b", "a"]), *batcher.submit(["b", "a"]))
    assert sorted(text for batch in bundle.batches for text in batch) == ["a", "b"]
    assert answered(recording) == {"shared": 4, "embedded": 2}
    await asyncio.gather(*batcher.submit(["a"]))
    assert answered(recording) == {"shared": 4, "embedded": 2, "cached": 1}


async def test_a_text_under_way_is_joined(batcher: Batcher, bundle: FakeBundle) -> None:
    bundle.gate.clear()
    (first,) = batcher.submit(["a"])
    await begun(bundle)
    (second,) = batcher.submit(["a"])
    bundle.gate.set()
    assert await first is await second
    assert bundle.batches == [["a"]]


async def test_work_runs_off_the_event_loop_on_one_thread(
    batcher: Batcher, bundle: FakeBundle
) -> None:
    await asyncio.gather(*batcher.submit([str(n) for n in range(20)]))
    assert len(bundle.threads) == 1
    assert threading.get_ident() not in bundle.threads


async def test_a_cancelled_waiter_does_not_break_the_others(
    batcher: Batcher, bundle: FakeBundle
) -> None:
    bundle.gate.clear()
    first, other = batcher.submit(["a", "b"])
    await begun(bundle)
    (second,) = batcher.submit(["a"])
    first.cancel()
    bundle.gate.set()
    assert (await second).label == bundle.expected("a")
    assert (await other).label == bundle.expected("b")


async def test_a_text_that_nobody_waits_for_is_not_embedded(
    batcher: Batcher, bundle: FakeBundle
) -> None:
    bundle.gate.clear()
    (first,) = batcher.submit(["a"])
    await begun(bundle)
    (gone,) = batcher.submit(["b"])
    gone.cancel()
    bundle.gate.set()
    await first
    await asyncio.gather(*batcher.submit(["c"]))
    assert bundle.batches == [["a"], ["c"]]


async def test_a_full_queue_is_overloaded_and_takes_none_of_the_texts(bundle: FakeBundle) -> None:
    batcher = make_batcher(bundle, batch_size=1, queue_messages=2)
    bundle.gate.clear()
    taken = batcher.submit(["a"])
    await begun(bundle)
    taken += batcher.submit(["b", "c"])
    with pytest.raises(TierUnavailable) as caught:
        batcher.submit(["d"])
    assert caught.value.code == "overloaded"
    taken += batcher.submit(["a", "b", "c"])
    bundle.gate.set()
    assert len(await asyncio.gather(*taken)) == 6
    await batcher.close()
    assert ["d"] not in bundle.batches


async def test_a_failure_reaches_its_own_batch_only(
    bundle: FakeBundle, recording: Recording
) -> None:
    batcher = make_batcher(bundle, batch_size=1, telemetry=recording)
    outcomes = await asyncio.gather(*batcher.submit(["a", "boom", "c"]), return_exceptions=True)
    assert code_of(outcomes[1]) == "failed"
    assert [o.label for o in outcomes if isinstance(o, Prediction)] == [
        bundle.expected("a"),
        bundle.expected("c"),
    ]
    assert answered(recording) == {"embedded": 2, "failed": 1}
    again = await asyncio.gather(*batcher.submit(["boom"]), return_exceptions=True)
    assert code_of(again[0]) == "failed"
    await batcher.close()


async def test_a_batch_ends_with_the_bundle_it_began_with(bundle: FakeBundle) -> None:
    batcher = make_batcher(bundle, batch_size=2)
    bundle.gate.clear()
    old = batcher.submit(["a", "b"])
    await begun(bundle)
    queued = batcher.submit(["c"])
    fresh = FakeBundle("fake@2", "enc")
    batcher.swap(cast("Bundle", fresh))
    late = batcher.submit(["a", "c"])
    bundle.gate.set()
    assert [p.version for p in await asyncio.gather(*old)] == ["fake@1"] * 2
    assert [p.version for p in await asyncio.gather(*queued, *late)] == ["fake@2"] * 3
    assert batcher.version == "fake@2"
    await batcher.close()


async def test_a_new_classifier_needs_no_new_embeddings_but_a_new_encoder_does(
    bundle: FakeBundle,
) -> None:
    batcher = make_batcher(bundle)
    await asyncio.gather(*batcher.submit(["a"]))
    same, other = FakeBundle("fake@2", "enc"), FakeBundle("fake@3", "other")
    batcher.swap(cast("Bundle", same))
    assert (await batcher.submit(["a"])[0]).version == "fake@2"
    assert same.batches == [[]]
    batcher.swap(cast("Bundle", other))
    assert (await batcher.submit(["a"])[0]).version == "fake@3"
    assert other.batches == [["a"]]
    await batcher.close()


@pytest.mark.parametrize("cache_bytes", [0, 1200])
async def test_the_embedding_cache_is_bounded(bundle: FakeBundle, cache_bytes: int) -> None:
    embeddings = Embeddings(cache_bytes)
    batcher = make_batcher(bundle, embeddings=embeddings)
    for _ in range(2):
        predictions = await asyncio.gather(*batcher.submit([str(n) for n in range(9)]))
        assert len(predictions) == 9
    assert embeddings._cache.currsize <= cache_bytes
    await batcher.close()


async def test_close_answers_what_runs_and_rejects_what_waits(bundle: FakeBundle) -> None:
    batcher = make_batcher(bundle, batch_size=1)
    bundle.gate.clear()
    running = batcher.submit(["a"])
    await begun(bundle)
    waiting = batcher.submit(["b", "c"])
    closing = asyncio.ensure_future(batcher.close())
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [code_of(outcome) for outcome in outcomes] == ["closed", "closed"]
    bundle.gate.set()
    await closing
    assert running[0].result().label == bundle.expected("a")
    await batcher.close()
    with pytest.raises(TierUnavailable):
        batcher.submit(["d"])


async def test_several_threads_run_batches_side_by_side(bundle: FakeBundle) -> None:
    batcher = make_batcher(bundle, batch_size=1, threads=2)
    bundle.gate.clear()
    futures = batcher.submit(["a", "b"])
    await begun(bundle)
    await begun(bundle)
    bundle.gate.set()
    assert [p.label for p in await asyncio.gather(*futures)] == [
        bundle.expected("a"),
        bundle.expected("b"),
    ]
    await batcher.close()


async def test_the_clock_times_the_batches(bundle: FakeBundle, recording: Recording) -> None:
    ticks = iter(range(100))
    batcher = make_batcher(bundle, clock=lambda: float(next(ticks)), telemetry=recording)
    await asyncio.gather(*batcher.submit(["a"]))
    assert recording.secs["model_batch_took",] == 1.0
    assert recording.counts["model_batch_took",] == 1
    await batcher.close()


async def test_the_queue_and_what_it_refuses_can_be_seen(
    bundle: FakeBundle, recording: Recording
) -> None:
    batcher = make_batcher(bundle, batch_size=1, queue_messages=2, telemetry=recording)
    bundle.gate.clear()
    taken = batcher.submit(["a"])
    await begun(bundle)
    taken += batcher.submit(["b", "c"])
    assert recording.last["model_queued"] == 2
    with pytest.raises(TierUnavailable):
        batcher.submit(["d", "e"])
    assert answered(recording) == {"refused": 2}
    bundle.gate.set()
    await asyncio.gather(*taken)
    assert recording.last["model_queued"] == 0
    await batcher.close()
    with pytest.raises(TierUnavailable):
        batcher.submit(["f"])
    assert answered(recording) == {"refused": 3, "embedded": 3}
