"""A candidate beside the model: it counts, and neither labels nor delays anything."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from tests.conftest import Running, Sidecar
from waybill.labelling.model import shadow as module
from waybill.labelling.model.answer import AnswerPolicy, Prediction
from waybill.labelling.model.bundle import Bundle
from waybill.labelling.model.encoders.base import Floats
from waybill.labelling.model.shadow import Shadow
from waybill.labelling.telemetry import Recording
from waybill.labelling.tier import Scope

DEFAULT_BUNDLE = Path(__file__).parents[3] / "models" / "default"
SWAPPED = {"User Action": "Resource Usage", "Resource Usage": "User Action"}


class Candidate:
    """Answers ``label``, or fails; ``gate`` holds it up."""

    version = "candidate@1"

    def __init__(self, label: str = "Error", *, fails: bool = False) -> None:
        self.label, self.fails = label, fails
        self.embedded: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def policy(self, threshold: float | None) -> AnswerPolicy:
        return AnswerPolicy(threshold or 0.5, "Unclassified")

    def embed(self, texts: Sequence[str]) -> Floats:
        self.gate.wait(10)
        self.embedded += texts
        return np.zeros((len(texts), 2), np.float32)

    def classify(self, rows: Floats, texts: Sequence[str]) -> list[Prediction]:
        if self.fails:
            raise RuntimeError("broken")
        assert len(rows) == len(texts)
        return [Prediction(self.label, 0.9, 0.1, True, self.version) for _ in texts]


def shadow_of(candidate: Candidate, *, sample: float = 1.0) -> tuple[Shadow, Recording]:
    telemetry = Recording()
    shadow = Shadow(sample=sample, telemetry=telemetry, dice=lambda: 0.5)
    shadow.swap(cast("Bundle", candidate))
    return shadow, telemetry


async def settled(shadow: Shadow) -> None:
    """Wait until the queue is worked off."""
    while shadow._task is not None:
        await shadow._task


async def test_it_counts_what_it_would_say_against_what_was_said() -> None:
    shadow, telemetry = shadow_of(Candidate("Error"))
    for label in ("Error", "Error", "User Action"):
        shadow.offer("a text", label, Scope(), None)
    await settled(shadow)
    assert telemetry.counts["model_shadowed", "Error", "Error"] == 2
    assert telemetry.counts["model_shadowed", "User Action", "Error"] == 1
    assert shadow.describe() == {
        "compared": 3,
        "agreement": 0.6667,
        "differing": [{"label": "User Action", "shadow_label": "Error", "count": 1}],
    }
    await shadow.close()
    await shadow.close()


async def test_it_keeps_to_the_labels_of_the_route_and_to_the_sample() -> None:
    shadow, telemetry = shadow_of(Candidate("Error"))
    shadow.offer("a text", "Unclassified", Scope(labels=frozenset({"User Action"})), None)
    await settled(shadow)
    assert telemetry.counts["model_shadowed", "Unclassified", "Unclassified"] == 1
    fewer, telemetry = shadow_of(Candidate("Error"), sample=0.5)
    fewer.offer("a text", "Error", Scope(), None)
    assert fewer._task is None
    await asyncio.gather(shadow.close(), fewer.close())


async def test_an_embedding_that_is_known_is_not_made_again() -> None:
    candidate = Candidate()
    shadow, telemetry = shadow_of(candidate)
    shadow.offer("known", "Error", Scope(), np.ones(2, np.float32))
    shadow.offer("new", "Error", Scope(), None)
    await settled(shadow)
    assert candidate.embedded == ["new"]
    assert telemetry.counts["model_shadowed", "Error", "Error"] == 2
    await shadow.close()


async def test_what_finds_the_queue_full_is_passed_over() -> None:
    candidate = Candidate()
    candidate.gate.clear()
    shadow, telemetry = shadow_of(candidate)
    for _ in range(module._QUEUE_TEXTS + 5):
        shadow.offer("a text", "Error", Scope(), None)
    assert telemetry.counts["model_shadow_skipped", "busy"] == 5
    candidate.gate.set()
    await settled(shadow)
    assert telemetry.counts["model_shadowed", "Error", "Error"] == module._QUEUE_TEXTS
    await shadow.close()


async def test_one_that_keeps_failing_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    shadow, telemetry = shadow_of(Candidate(fails=True))
    for _ in range(5):
        shadow.offer("a text", "Error", Scope(), None)
        await settled(shadow)
    assert telemetry.counts["model_shadow_skipped", "failed"] == module._MOST_FAILURES
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    shadow.swap(cast("Bundle", Candidate()))
    shadow.offer("a text", "Error", Scope(), None)
    await settled(shadow)
    assert telemetry.counts["model_shadowed", "Error", "Error"] == 1
    await shadow.close()


async def test_what_was_asked_of_the_one_before_does_not_count_for_the_next() -> None:
    candidate = Candidate()
    candidate.gate.clear()
    shadow, telemetry = shadow_of(candidate)
    shadow.offer("a text", "Error", Scope(), None)
    await asyncio.sleep(0)
    shadow.swap(cast("Bundle", Candidate("User Action")))
    candidate.gate.set()
    await settled(shadow)
    assert not telemetry.counts
    assert shadow.describe()["compared"] == 0
    await shadow.close()


# With a service around it.


def other_labels(target: Path) -> Path:
    """The default bundle, with two of its labels exchanged."""
    shutil.copytree(DEFAULT_BUNDLE, target)
    manifest = json.loads((target / "manifest.json").read_bytes())
    manifest["labels"] = [SWAPPED.get(label, label) for label in manifest["labels"]]
    manifest["version"] = "swapped"
    for golden in manifest["golden"]:
        golden["label"] = SWAPPED.get(golden["label"], golden["label"])
    (target / "manifest.json").write_text(json.dumps(manifest))
    return target


async def told(sidecar: Sidecar) -> dict[str, object]:
    _, body = await sidecar.get("/readyz")
    found: dict[str, object] = json.loads(body)["shadow"]
    return found


async def label(sidecar: Sidecar, *messages: str) -> list[str]:
    body = json.dumps([{"log": message} for message in messages]).encode()
    status, answer, _ = await sidecar.post(body, content_type="application/json")
    assert status == 200
    model = sidecar.service.opened.model
    assert model is not None
    assert model.shadow is not None
    await settled(model.shadow)
    return [record["target_label"] for record in json.loads(answer)]


async def test_a_service_asks_it_and_goes_on_when_it_breaks(
    tmp_path: Path, running: Running
) -> None:
    versions = tmp_path / "versions"
    settings = (f"model.shadow.path={versions}", "model.shadow.sample=1.0")
    async with running(*settings) as sidecar:
        assert await label(sidecar, "zork bought a lantern on account 5") != []
        assert await sidecar.service.reloader.reload()  # there is none yet, and that is no fault
        found = await told(sidecar)
        assert (found["compared"], found["version"], found["refused"]) == (0, None, [])
        other_labels(versions / "v1.0")
        assert await sidecar.service.reloader.reload()
        assert (await told(sidecar))["version"] == "default@swapped"
        (given,) = await label(sidecar, "bob changed his e-mail address to bob@example.com")
        assert given == "User Action"
        metric = "waybill_model_shadow_total"
        assert sidecar.metric(metric, label=given, shadow_label=SWAPPED[given]) == 1
        found = await told(sidecar)
        assert (found["compared"], found["agreement"]) == (1, 0.0)
        # A newer version that is broken: the one before is asked on.
        shutil.copytree(DEFAULT_BUNDLE, versions / "v1.1")
        (versions / "v1.1" / "classifier.onnx").write_bytes(b"")
        assert not await sidecar.service.reloader.reload()
        assert "[hash]" in str((await told(sidecar))["refused"])
        assert sidecar.metric("waybill_last_reload_successful", what="shadow") == 0
        assert sidecar.metric("waybill_last_reload_successful", what="model") == 1
        await label(sidecar, "account owner eve edited her profile and saved it")
        assert (await told(sidecar))["compared"] == 2
        # Taken away it is not asked, and back again it is.
        versions.rename(tmp_path / "aside")
        assert await sidecar.service.reloader.reload()
        assert (await told(sidecar))["version"] is None
        shutil.rmtree(tmp_path / "aside" / "v1.1")
        (tmp_path / "aside").rename(versions)
        assert await sidecar.service.reloader.reload()
        assert (await told(sidecar))["version"] == "default@swapped"
