"""The encoders that do not lie in a bundle, against what they really talk to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.labelling.model.encoders_rig import GeminiServer
from waybill.core.errors import TierUnavailable
from waybill.labelling.model.encoders import gemini as gemini_module
from waybill.labelling.model.encoders.gemini import GeminiEncoder


class FakeTime:
    """A clock that only sleeping and ``spend`` move."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, secs: float) -> None:
        self.slept.append(secs)
        self.now += secs


@pytest.fixture
def clock() -> FakeTime:
    return FakeTime()


@pytest.fixture
def gemini(server: GeminiServer, clock: FakeTime) -> Iterator[GeminiEncoder]:
    encoder = GeminiEncoder("gemini-embedding-001", 768, clock=clock, sleep=clock.sleep)
    yield encoder
    encoder._client.close()


def refusal(encoder: GeminiEncoder, *texts: str) -> str:
    with pytest.raises(TierUnavailable) as caught:
        encoder.embed(texts or ["a"])
    assert caught.value.tier == "model"
    return caught.value.code


def test_gemini_gives_unit_vectors_in_order_and_batches(
    gemini: GeminiEncoder, server: GeminiServer
) -> None:
    texts = ["x" * (1 + i % 7) for i in range(120)]
    vectors = gemini.embed(texts)
    assert vectors.shape == (120, 768)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(120), abs=1e-5)
    assert np.array_equal(vectors[0], vectors[7])
    assert not np.array_equal(vectors[0], vectors[1])
    assert [len(call["requests"]) for call in server.calls] == [100, 20]
    assert server.texts() == texts
    request = server.calls[0]["requests"][0]
    assert (request["taskType"], request["outputDimensionality"]) == ("CLASSIFICATION", 768)
    assert server.calls[0]["path"].endswith("/models/gemini-embedding-001:batchEmbedContents")
    assert server.calls[0]["key"] == "k-1"
    assert gemini.embed([]).shape == (0, 768)


def test_gemini_never_asks_for_an_empty_text(gemini: GeminiEncoder, server: GeminiServer) -> None:
    assert gemini.embed(["", "a"]).shape == (2, 768)
    assert server.texts() == [" ", "a"]


def test_gemini_comes_back_after_a_refusal_that_may_pass(
    gemini: GeminiEncoder, server: GeminiServer, clock: FakeTime
) -> None:
    server.script = [(429, "3"), 503, 500]
    assert gemini.embed(["a"]).shape == (1, 768)
    assert clock.slept == [3, 1, 2]


def test_gemini_gives_up_before_its_batch_must_go(
    gemini: GeminiEncoder, server: GeminiServer, clock: FakeTime
) -> None:
    server.always = 503
    assert refusal(gemini) == "encoder_unreachable"
    assert sum(clock.slept) <= gemini_module._PATIENCE_SECS
    assert 2 <= len(server.calls) <= 6


def test_gemini_is_left_alone_for_as_long_as_it_asks(
    gemini: GeminiEncoder, server: GeminiServer, clock: FakeTime
) -> None:
    server.script = [(429, "40")]
    assert refusal(gemini) == "encoder_rate_limited"
    clock.now += 39
    assert refusal(gemini) == "encoder_rate_limited"
    assert (len(server.calls), clock.slept) == (1, [])
    clock.now += 2
    assert gemini.embed(["a"]).shape == (1, 768)
    server.script = [(429, "86400")]
    assert refusal(gemini) == "encoder_rate_limited"
    clock.now += 61
    assert gemini.embed(["a"]).shape == (1, 768)


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (401, "encoder_refused"),
        (400, "encoder_refused"),
        (b'{"embeddings": []}', "encoder_malformed"),
        (b'{"embeddings": [{"values": [1.0, 2.0]}]}', "encoder_malformed"),
        (b'{"embeddings": [{"values": ["NaN"]}]}', "encoder_malformed"),
        (b"no json", "encoder_malformed"),
    ],
)
def test_gemini_does_not_repeat_what_will_not_pass(
    gemini: GeminiEncoder, server: GeminiServer, step: int | bytes, code: str
) -> None:
    server.script = [step]
    assert refusal(gemini) == code
    assert len(server.calls) == 1


def test_gemini_that_is_slow_or_away_is_unreachable(
    server: GeminiServer, clock: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gemini_module, "_TIMEOUT_MS", 50)
    monkeypatch.setattr(gemini_module, "_PATIENCE_SECS", 1.0)
    server.delay_secs = 0.3
    slow = GeminiEncoder("gemini-embedding-001", 768, clock=clock, sleep=clock.sleep)
    assert refusal(slow) == "encoder_unreachable"
    assert len(server.calls) == 2
    monkeypatch.setenv("GEMINI_BASE_URL", "http://127.0.0.1:9")
    away = GeminiEncoder("gemini-embedding-001", 768, clock=clock, sleep=clock.sleep)
    assert refusal(away) == "encoder_unreachable"
    for encoder in (slow, away):
        encoder._client.close()
