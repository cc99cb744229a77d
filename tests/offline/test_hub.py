"""Versions in a repository, with the real client against a local server, and following them."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from sidecar.config import FollowSettings, ModelSettings, Settings
from sidecar.errors import BundleError
from sidecar.follow import ModelFollower
from sidecar.labelling.model.bundle import load_bundle
from sidecar.ops.metrics import Metrics
from sidecar.records import LABELS
from sidecar.reload import bundle_folder
from tests.hubserver import Hub

pytest.importorskip("huggingface_hub", reason="the hub extra is not installed")
from huggingface_hub import close_session

from sidecar.offline.hub import HubError, main, pull, push, versions

# The client's own: it hands bytes to its HTTP library in a way that this one calls outdated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")

DEFAULT_BUNDLE = Path(__file__).parents[2] / "models" / "default"
REPO = "acme/labels"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Hub, str]]:
    """A Hub on a thread of its own: the client is synchronous."""
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    hub, loop = Hub(), asyncio.new_event_loop()

    async def serve() -> web.AppRunner:
        runner = web.AppRunner(hub.application(), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(serve(), loop).result(10)
    yield hub, f"http://127.0.0.1:{runner.addresses[0][1]}"
    close_session()
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def changed_copy(target: Path, **changes: Any) -> Path:
    """The default bundle with another manifest."""
    shutil.copytree(DEFAULT_BUNDLE, target)
    manifest = json.loads((target / "manifest.json").read_bytes()) | changes
    (target / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return target


def test_versions_go_up_and_come_down(hub: tuple[Hub, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, endpoint = hub
    assert push(DEFAULT_BUNDLE, REPO, endpoint=endpoint) == "v1.0"
    newer = changed_copy(tmp_path / "newer", version="newer")
    assert push(newer, REPO, endpoint=endpoint) == "v1.1"
    assert push(newer, REPO, is_major=True, endpoint=endpoint) == "v2.0"
    assert versions(REPO, endpoint=endpoint) == ["v1.0", "v1.1", "v2.0"]
    assert main(["versions", "--repo", REPO, "--endpoint", endpoint]) == 0
    assert capsys.readouterr().out.split() == ["v1.0", "v1.1", "v2.0"]
    into = tmp_path / "followed"
    assert pull(REPO, into, version="v1.0", endpoint=endpoint) == into / "v1.0"
    assert main(["pull", "--repo", REPO, "--into", str(into), "--endpoint", endpoint]) == 0
    assert load_bundle(into / "current", labels=LABELS).manifest.version == "newer"
    assert (into / "current").readlink() == Path("v2.0")
    for file in DEFAULT_BUNDLE.iterdir():
        assert (into / "v1.0" / file.name).read_bytes() == file.read_bytes()
    with pytest.raises(HubError, match="no_version"):
        push(newer, REPO, tag="v1.1", endpoint=endpoint)


def test_a_version_that_is_refused_is_left_out(hub: tuple[Hub, str], tmp_path: Path) -> None:
    server, endpoint = hub
    push(DEFAULT_BUNDLE, REPO, endpoint=endpoint)
    push(DEFAULT_BUNDLE, REPO, endpoint=endpoint)
    server.commits[REPO][-1]["classifier.onnx"] = b"something else"
    into = tmp_path / "followed"
    assert pull(REPO, into, endpoint=endpoint).name == "v1.0"
    assert sorted(entry.name for entry in into.iterdir()) == ["current", "v1.0"]
    with pytest.raises(BundleError) as caught:
        pull(REPO, into, version="v1.1", endpoint=endpoint)
    assert caught.value.code == "hash"


@pytest.mark.parametrize(("status", "code"), [(404, "not_found"), (401, "not_found"), (500, "unreachable")])
def test_what_the_server_refuses_has_a_code(hub: tuple[Hub, str], tmp_path: Path, status: int, code: str) -> None:
    server, endpoint = hub
    server.status = status
    with pytest.raises(HubError) as caught:
        pull(REPO, tmp_path / "followed", endpoint=endpoint)
    assert caught.value.code == code


def test_a_repository_without_versions_says_so(hub: tuple[Hub, str], tmp_path: Path) -> None:
    server, endpoint = hub
    server.commits[REPO], server.tags[REPO] = [{}], {"latest": "x"}
    with pytest.raises(HubError, match="no version tag"):
        pull(REPO, tmp_path / "followed", endpoint=endpoint)


async def test_the_service_follows_a_folder_of_versions(tmp_path: Path) -> None:
    source, into = tmp_path / "source", tmp_path / "followed"
    shutil.copytree(DEFAULT_BUNDLE, source / "v1.0")
    model = ModelSettings(follow=FollowSettings(source=str(source), into=str(into), interval_secs=0.2))
    settings, metrics = msgspec.structs.replace(Settings(), model=model), Metrics("test")
    assert bundle_folder(settings) != into / "current"
    follower = ModelFollower(model, metrics)
    await follower.start()
    try:
        assert bundle_folder(settings) == into / "current"
        changed_copy(source / "v1.1", version="newer")
        changed_copy(source / "v1.2", labels=["Nonsense"])
        async with asyncio.timeout(60):
            while metrics.model_pulls.labels("accepted")._value.get() < 2 or not (into / "v1.1").exists():
                await asyncio.sleep(0.1)
            assert (into / "current").readlink() == Path("v1.1")
    finally:
        await follower.stop()
    assert not (into / "v1.2").exists()


async def test_a_source_that_is_gone_costs_nothing_but_a_count(tmp_path: Path) -> None:
    follow = FollowSettings(source="nobody/nothing", endpoint="http://127.0.0.1:9", into=str(tmp_path / "followed"))
    metrics = Metrics("test")
    follower = ModelFollower(ModelSettings(follow=follow), metrics)
    assert not await follower.pull()
    assert metrics.model_pulls.labels("unreachable")._value.get() == 1
