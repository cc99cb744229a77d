"""Several labellings side by side: verdicts joined, masks and embeddings worked out once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import cast

import pytest

from tests.labelling.model.test_batcher import FakeBundle, begun, make_batcher
from tests.taxonomies import TOY
from waybill.core.records import Verdict
from waybill.labelling.masking import mask
from waybill.labelling.model.batcher import Batcher
from waybill.labelling.model.embeddings import Embeddings
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.several import Several
from waybill.labelling.shared_masks import SharedMasks
from waybill.ops.metrics import Metrics


class Fixed:
    """A pipeline that says the same of every message."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.taxonomy = TOY
        self.passed = TOY.passed

    async def label(self, messages: list[str], _: list[str]) -> list[Verdict]:
        await asyncio.sleep(0)
        return [self.verdict] * len(messages)


FRUIT = Verdict("Fruit", "rule", 1.0, "apples")
TOOL = Verdict("Tool", "model", 0.7, "m@1")


def several() -> Several:
    pipelines = [cast("Pipeline", Fixed(verdict)) for verdict in (FRUIT, TOOL)]
    return Several(pipelines, ["second"])


async def test_the_first_verdict_carries_the_others() -> None:
    labeller = several()
    one, two = await labeller.label(["a", "b"], ["", ""])
    assert one is two, "what it adds to records is rendered once"
    assert (one.label, one.tier, one.beside) == ("Fruit", "rule", (TOOL,))
    passed = labeller.passed["no_message"]
    assert (passed.reason, passed.beside[0].reason) == ("no_message", "no_message")


async def test_a_label_that_a_record_came_with_is_no_verdict_of_ours() -> None:
    labeller = several()
    (verdict,) = await labeller.label(["a"], [""])
    kept = labeller.keep(verdict, [False, True])
    assert (kept.label, kept.beside[0].reason) == ("Fruit", "already_labelled")
    metrics = Metrics("0")
    metrics.count_verdicts(Counter([verdict, verdict, kept]), TOY.fallback, labeller.names)
    of_first = metrics.records_labelled.labels("rule", "Fruit")._value.get()
    of_second = metrics.further.records_labelled.labels("second", "model", "Tool")._value.get()
    assert (of_first, of_second) == (3, 2)
    assert metrics.further.records_kept.labels("second")._value.get() == 1


def test_a_mask_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[str] = Counter()

    def counting(text: str) -> str:
        asked[text] += 1
        return mask(text)

    monkeypatch.setattr("waybill.labelling.shared_masks.mask", counting)
    masks = SharedMasks(1 << 16)
    for _ in range(3):
        assert masks("job 7 failed") == mask("job 7 failed")
    assert asked == {"job 7 failed": 1}
    for number in range(2000):
        masks(f"line {number}")
    masks("job 7 failed")
    assert asked["job 7 failed"] == 2, "it forgets what is long ago"


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
async def test_two_batchers_embed_a_text_once(cache_bytes: int) -> None:
    bundles = [FakeBundle("a@1"), FakeBundle("b@1")]
    embeddings = Embeddings(cache_bytes)
    batchers = [make_batcher(bundle, embeddings=embeddings) for bundle in bundles]
    bundles[0].gate.clear()
    first = batchers[0].submit(["x", "y"])
    await begun(bundles[0])
    second = batchers[1].submit(["x", "y", "z"])
    await begun(bundles[1])
    bundles[0].gate.set()
    said = await asyncio.gather(*first, *second)
    assert [one.version for one in said] == ["a@1", "a@1", "b@1", "b@1", "b@1"]
    assert said[0].label == said[2].label
    assert bundles[0].batches == [["x", "y"]]
    assert bundles[1].batches == [["z"], []]
    await _close(batchers)


async def test_a_text_that_the_other_could_not_embed_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundles = [FakeBundle("a@1"), FakeBundle("b@1")]
    embeddings = Embeddings(1 << 20)
    batchers = [make_batcher(bundle, embeddings=embeddings) for bundle in bundles]
    monkeypatch.setattr(bundles[0], "embed", _fail)
    first = batchers[0].submit(["x"])
    second = batchers[1].submit(["x"])
    said = await asyncio.gather(*first, *second, return_exceptions=True)
    assert isinstance(said[0], Exception)
    assert not isinstance(said[1], BaseException)
    await _close(batchers)


def _fail(_: object) -> None:
    raise RuntimeError("no")


async def _close(batchers: list[Batcher]) -> None:
    for batcher in batchers:
        await batcher.close()


def test_another_encoder_shares_nothing() -> None:
    embeddings = Embeddings(1 << 20)
    batcher = make_batcher(FakeBundle("a@1"), embeddings=embeddings)
    other = make_batcher(FakeBundle("b@1", "other"), embeddings=embeddings)

    async def run() -> None:
        await asyncio.gather(*batcher.submit(["x"]))
        await asyncio.gather(*other.submit(["x"]))
        await _close([batcher, other])

    asyncio.run(run())
    assert cast("FakeBundle", other.bundle).batches == [["x"]]
