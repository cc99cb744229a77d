"""A service that follows a source of models."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Running, Sidecar
from tests.hubserver import Hub
from tests.patience import until
from tests.taxonomies import TOY_YAML
from waybill.core.errors import BundleError, ConfigError
from waybill.ops.metrics import Metrics
from waybill.service import follow_model
from waybill.service.follow_model import ModelFollower
from waybill.settings.schema import FollowSettings, ModelSettings

pytest.importorskip("huggingface_hub", reason="the hub extra is not installed")

from tests.hub.light import light_bundle
from tests.hub.rig import REPO, ROOT, changed_copy, manifest_bytes, publish
from waybill.hub.pull import pull
from waybill.hub.push import push

# The client's own: it hands bytes to its HTTP library in a way that this one calls outdated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")


# ------------------------------------------------------------------------------------- following


def following(source: str, into: Path, *more: str) -> list[str]:
    (into.parent / "rules").mkdir(exist_ok=True)
    (into.parent / "rules" / "a.yaml").write_text("rules: []")
    overrides = {"source": source, "into": into, "interval_secs": 0.3}
    return [
        f"rules.path={into.parent / 'rules'}",
        "model.poll_secs=0.1",
        *(f"model.follow.{key}={value}" for key, value in overrides.items()),
        *more,
    ]


def pulls(sidecar: Sidecar, outcome: str) -> float:
    return sidecar.metric("waybill_model_pulls_total", outcome=outcome)


async def rule_of(sidecar: Sidecar) -> str:
    status, answer, _ = await sidecar.post(
        b'{"log":"ERROR could not connect to the database: connection refused"}'
    )
    assert status == 200
    return str(json.loads(answer)["label_rule"])


async def test_the_service_takes_each_accepted_version_without_a_restart(
    hub: tuple[Hub, str], tmp_path: Path, running: Running
) -> None:
    server, endpoint = hub
    publish(server, "v1.0", manifest__json=manifest_bytes(version="one"))
    overrides = following(REPO, tmp_path / "followed", f"model.follow.endpoint={endpoint}")
    async with running(*overrides) as sidecar:
        assert await rule_of(sidecar) == "default@one"
        publish(server, "v1.1", manifest__json=manifest_bytes(version="two"))
        await until(lambda: sidecar.state("model").version == "default@two")
        assert await rule_of(sidecar) == "default@two"
        publish(server, "v1.2", classifier__onnx=b"rubbish")
        await until(lambda: pulls(sidecar, "hash") >= 1)
        server.status = 503
        await until(lambda: pulls(sidecar, "unreachable") >= 1)
        server.status = None
        del server.tags[REPO]["v1.1"], server.tags[REPO]["v1.2"]
        await until(lambda: sidecar.state("model").version == "default@one")
        assert await rule_of(sidecar) == "default@one"
        assert sidecar.metric("waybill_last_reload_successful", what="model") == 1
    server.is_silent = True
    async with running(*overrides) as sidecar:  # what was pulled serves, whatever the network does
        assert await rule_of(sidecar) == "default@one"


async def test_a_pinned_version_stays(tmp_path: Path, running: Running) -> None:
    source = tmp_path / "source"
    changed_copy(source / "v1.0", version="one")
    changed_copy(source / "v1.1", version="two")
    async with running(
        *following(str(source), tmp_path / "followed", "model.follow.version=v1.0")
    ) as sidecar:
        await until(lambda: pulls(sidecar, "unchanged") >= 1)
        assert await rule_of(sidecar) == "default@one"


async def test_without_any_pull_the_start_waits_only_so_long(
    hub: tuple[Hub, str], tmp_path: Path, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, endpoint = hub
    server.is_silent = True
    monkeypatch.setattr(follow_model, "_START_SECS", 0.2)
    async with running(
        *following(REPO, tmp_path / "followed", f"model.follow.endpoint={endpoint}")
    ) as sidecar:
        assert (await rule_of(sidecar)).startswith("default@")


async def test_a_pulled_version_that_the_disk_spoilt_does_not_stop_the_start(
    tmp_path: Path, running: Running
) -> None:
    into = tmp_path / "followed"
    changed_copy(tmp_path / "source" / "v1.0", version="one")
    pull(str(tmp_path / "source"), into)
    (into / "v1.0" / "classifier.onnx").write_bytes(b"spoilt")
    shutil.rmtree(tmp_path / "source")
    async with running(*following(str(tmp_path / "source"), into)) as sidecar:
        default = json.loads((light_bundle() / "manifest.json").read_bytes())["version"]
        assert await rule_of(sidecar) == f"default@{default}"
        await until(lambda: bool(sidecar.state("model").problems))
        assert "hash" in sidecar.state("model").problems[0]
        changed_copy(tmp_path / "source" / "v1.0", version="one")
        await until(lambda: sidecar.state("model").version == "default@one")
        assert sidecar.state("model").problems == []


async def test_versions_are_held_against_the_labels_that_are_configured(tmp_path: Path) -> None:
    (tmp_path / "labels.yaml").write_text(TOY_YAML)
    labels = str(tmp_path / "labels.yaml")
    changed_copy(tmp_path / "source" / "v1.0", version="one")
    source = str(tmp_path / "source")
    with pytest.raises(BundleError, match=r"the labels here are Fruit, Tool, Neither") as caught:
        pull(source, tmp_path / "pulled", labels=labels)
    assert caught.value.code == "labels"
    with pytest.raises(BundleError, match="trained on other labels"):
        push(light_bundle(), str(tmp_path / "new"), labels=labels)
    metrics = Metrics("test")
    settings = ModelSettings(follow=FollowSettings(source=source, into=str(tmp_path / "into")))
    assert not await ModelFollower(settings, metrics, labels).pull()
    assert metrics.model_pulls.labels("labels")._value.get() == 1


async def test_a_pull_that_takes_too_long_is_ended(
    hub: tuple[Hub, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, endpoint = hub
    server.is_silent = True
    monkeypatch.setattr(follow_model, "_PULL_SECS", 1.0)
    metrics = Metrics("test")
    settings = FollowSettings(source=REPO, endpoint=endpoint, into=str(tmp_path / "followed"))
    assert not await ModelFollower(ModelSettings(follow=settings), metrics).pull()
    assert metrics.model_pulls.labels("timeout")._value.get() == 1


async def test_the_same_trouble_is_logged_once_and_counted_each_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics("test")
    settings = FollowSettings(source=str(tmp_path / "nothing"), into=str(tmp_path / "followed"))
    follower = ModelFollower(ModelSettings(follow=settings), metrics)
    for _ in range(3):
        assert not await follower.pull()
    assert metrics.model_pulls.labels("not_found")._value.get() == 3
    assert [record.message for record in caplog.records] == ["no model could be pulled"]


async def test_following_needs_a_model_to_begin_with(running: Running, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.path: needed"):
        async with running(*following("a/b", tmp_path / "followed", "model.path=null")):
            pass


def test_the_serving_process_imports_no_client_of_a_repository_or_service() -> None:
    script = """
import sys
import waybill.service.app
from waybill.labelling.model.bundle import load_bundle
heavy = {"huggingface_hub", "google.genai", "sentence_transformers", "torch", "httpx", "requests", "waybill.hub.pull", "waybill.hub.repository"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
