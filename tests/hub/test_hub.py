"""Versions in a repository, with the real client against a local server, and following them."""

from __future__ import annotations

import asyncio
import fcntl
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from tests.conftest import Running, Sidecar
from tests.hubserver import TOKEN, Hub, commit_id
from tests.patience import until
from tests.taxonomies import TEN, TOY_YAML
from waybill.core.errors import BundleError, ConfigError
from waybill.labelling.model.bundle import load_bundle
from waybill.labelling.model.manifest import read_manifest
from waybill.ops.metrics import Metrics
from waybill.service import follow
from waybill.service.follow import ModelFollower
from waybill.settings.schema import FollowSettings, ModelSettings

pytest.importorskip("huggingface_hub", reason="the hub extra is not installed")
from huggingface_hub import close_session

from waybill.cli.main import main
from waybill.hub import repository
from waybill.hub.answers import Answers
from waybill.hub.folder import FolderSource, sole_use
from waybill.hub.outcome import HubError, Pulled
from waybill.hub.pull import pull
from waybill.hub.push import _publish_next, push
from waybill.hub.rollback import forward, left_alone, rollback
from waybill.hub.source import versions

# The client's own: it hands bytes to its HTTP library in a way that this one calls outdated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")

ROOT = Path(__file__).parents[2]
DEFAULT_BUNDLE = ROOT / "models" / "default"
REPO = "acme/labels"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Hub, str]]:
    """A Hub on a thread of its own: the client is synchronous."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
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


def publish(hub: Hub, tag: str, **changes: bytes) -> None:
    """Put a version into the repository as it is: the last commit with ``changes`` (dots as
    ``__``).
    """
    commits = hub.commits.setdefault(
        REPO, [{f.name: f.read_bytes() for f in DEFAULT_BUNDLE.iterdir()}]
    )
    commits.append(commits[-1] | {name.replace("__", "."): data for name, data in changes.items()})
    oid = commit_id(REPO, len(commits) - 1)
    hub.tags.setdefault(REPO, {})[tag] = oid


def manifest_bytes(**changes: Any) -> bytes:
    return msgspec.json.encode(
        json.loads((DEFAULT_BUNDLE / "manifest.json").read_bytes()) | changes
    )


def visible(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))


def test_versions_go_up_and_come_down(
    hub: tuple[Hub, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server, endpoint = hub
    assert push(DEFAULT_BUNDLE, REPO, endpoint=endpoint) == "v1.0"
    newer = changed_copy(tmp_path / "newer", version="newer")
    assert push(newer, REPO, endpoint=endpoint) == "v1.1"
    assert push(newer, REPO, is_major=True, endpoint=endpoint) == "v2.0"
    assert push(newer, REPO, tag="v2.10", endpoint=endpoint) == "v2.10"
    assert main(["model", "push", str(newer), "--repo", REPO, "--endpoint", endpoint]) == 0
    assert json.loads(capsys.readouterr().out) == {"repo": REPO, "version": "v2.11"}
    assert versions(REPO, endpoint=endpoint) == ["v1.0", "v1.1", "v2.0", "v2.10", "v2.11"]
    assert main(["model", "versions", "--repo", REPO, "--endpoint", endpoint]) == 0
    assert capsys.readouterr().out.split() == ["v1.0", "v1.1", "v2.0", "v2.10", "v2.11"]
    into = tmp_path / "followed"
    first = pull(REPO, into, version="v1.0", endpoint=endpoint)
    assert (first.version, first.folder, first.is_new, first.refused) == (
        "v1.0",
        str(into / "v1.0"),
        True,
        {},
    )
    assert main(["model", "pull", "--repo", REPO, "--into", str(into), "--endpoint", endpoint]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == "v2.11"
    assert load_bundle(into / "current", taxonomy=TEN).manifest.version == "newer"
    assert (into / "current").readlink() == Path("v2.11")
    for file in DEFAULT_BUNDLE.iterdir():
        assert (into / "v1.0" / file.name).read_bytes() == file.read_bytes()
    assert sorted(e.name for e in (into / "v1.0").iterdir()) == sorted(
        e.name for e in DEFAULT_BUNDLE.iterdir()
    )
    for tag in ("v1.1", "1.2", "latest"):
        with pytest.raises(HubError, match="no_version"):
            push(newer, REPO, tag=tag, endpoint=endpoint)
    assert server.private[REPO]


def test_a_push_holds_the_bundle_and_leaves_the_rest(hub: tuple[Hub, str], tmp_path: Path) -> None:
    server, endpoint = hub
    push(DEFAULT_BUNDLE, REPO, endpoint=endpoint)
    server.commits[REPO].append(
        server.commits[REPO][-1] | {"README.md": b"# Labels", "old.onnx": b"x"}
    )
    bundle = shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle")
    (bundle / ".notes").write_text("mine")
    push(bundle, REPO, endpoint=endpoint)
    ours = {file.name for file in DEFAULT_BUNDLE.iterdir()}
    assert set(server.commits[REPO][-1]) == ours | {".gitattributes", "README.md"}
    assert pull(REPO, tmp_path / "followed", endpoint=endpoint).version == "v1.1"


def test_a_bundle_that_does_not_load_is_not_pushed(hub: tuple[Hub, str], tmp_path: Path) -> None:
    bundle = changed_copy(tmp_path / "bundle", golden=[])
    with pytest.raises(BundleError, match="golden"):
        push(bundle, REPO, endpoint=hub[1])
    assert hub[0].commits == {}


def test_a_repository_can_be_made_public(hub: tuple[Hub, str]) -> None:
    main(["model", "push", str(DEFAULT_BUNDLE), "--repo", REPO, "--public", "--endpoint", hub[1]])
    assert hub[0].private[REPO] is False


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"classifier__onnx": b"something else"}, "hash"),
        ({"manifest__json": b"{"}, "manifest"),
        ({"manifest__json": manifest_bytes(labels=["Nonsense"])}, "labels"),
        ({"manifest__json": manifest_bytes(sha256={"gone.onnx": "0" * 64})}, "manifest"),
        (
            {
                "manifest__json": manifest_bytes(
                    golden=[{"text": "disk full", "label": "User Action"}]
                )
            },
            "golden",
        ),
    ],
)
def test_a_version_that_is_refused_is_kept_out_with_its_reason(
    hub: tuple[Hub, str], tmp_path: Path, changes: dict[str, bytes], code: str
) -> None:
    server, endpoint = hub
    publish(server, "v1.0")
    into = tmp_path / "followed"
    pull(REPO, into, endpoint=endpoint)
    publish(server, "v1.1", **changes)
    pulled = pull(REPO, into, endpoint=endpoint)
    assert (pulled.version, pulled.is_new) == ("v1.0", False)
    assert pulled.refused["v1.1"][0] == code
    assert visible(into) == ["current", "v1.0"]
    before = dict(server.sent)
    assert pull(REPO, into, endpoint=endpoint).refused["v1.1"][0] == code
    assert dict(server.sent) == before
    with pytest.raises(BundleError) as caught:
        pull(REPO, into, version="v1.1", endpoint=endpoint)
    assert caught.value.code == code
    # The same tag on a commit that is in order is taken; what was left of the other goes.
    publish(
        server,
        "v1.1",
        **{f.name.replace(".", "__"): f.read_bytes() for f in DEFAULT_BUNDLE.iterdir()},
    )
    assert pull(REPO, into, endpoint=endpoint) == Pulled("v1.1", str(into / "v1.1"), True, {})
    assert not list(into.glob(".v*"))


def test_a_file_that_the_repository_lacks_is_named(hub: tuple[Hub, str], tmp_path: Path) -> None:
    server, endpoint = hub
    publish(server, "v1.0")
    del server.commits[REPO][-1]["reference.npy"]
    with pytest.raises(BundleError, match=r"reference\.npy") as caught:
        pull(REPO, tmp_path / "followed", endpoint=endpoint)
    assert caught.value.code == "missing_file"


def test_labels_are_looked_at_before_anything_large_is_fetched(
    hub: tuple[Hub, str], tmp_path: Path
) -> None:
    server, endpoint = hub
    publish(server, "v1.0", manifest__json=manifest_bytes(labels=["Nonsense"]))
    with pytest.raises(BundleError):
        pull(REPO, tmp_path / "followed", endpoint=endpoint)
    assert list(server.sent) == ["manifest.json"]


def test_what_a_bundle_does_not_name_is_not_fetched(hub: tuple[Hub, str], tmp_path: Path) -> None:
    server, endpoint = hub
    publish(server, "v1.0", README__md=b"# Labels", weights__bin=b"x" * 200_000)
    pull(REPO, tmp_path / "followed", endpoint=endpoint)
    assert not {"README.md", "weights.bin"} & set(server.sent)


def test_a_download_that_broke_off_goes_on_where_it_was(
    hub: tuple[Hub, str], tmp_path: Path
) -> None:
    server, endpoint = hub
    publish(server, "v1.0")
    size = len(server.commits[REPO][-1]["encoder.onnx"])
    server.breaks["encoder.onnx"] = size // 2
    into = tmp_path / "followed"
    try:
        pull(REPO, into, endpoint=endpoint)
    except HubError as error:
        assert error.code == "unreachable"
        assert visible(into) == []
        pull(REPO, into, endpoint=endpoint)
    assert visible(into) == ["current", "v1.0"]
    assert server.sent["encoder.onnx"] < 2 * size


def test_a_copy_that_the_disk_spoilt_is_fetched_again(hub: tuple[Hub, str], tmp_path: Path) -> None:
    server, endpoint = hub
    publish(server, "v1.0")
    into = tmp_path / "followed"
    pull(REPO, into, endpoint=endpoint)
    (into / "v1.0" / "classifier.onnx").write_bytes(b"")
    assert pull(REPO, into, endpoint=endpoint).is_new
    load_bundle(into / "current", taxonomy=TEN)


def test_a_version_that_was_withdrawn_gives_way_to_the_one_before(
    hub: tuple[Hub, str], tmp_path: Path
) -> None:
    server, endpoint = hub
    publish(server, "v1.0")
    publish(server, "v1.1")
    into = tmp_path / "followed"
    assert pull(REPO, into, endpoint=endpoint).version == "v1.1"
    del server.tags[REPO]["v1.1"]
    assert pull(REPO, into, endpoint=endpoint).version == "v1.0"
    assert (into / "current").readlink() == Path("v1.0")


def test_old_versions_go_but_never_the_one_in_use(hub: tuple[Hub, str], tmp_path: Path) -> None:
    server, endpoint = hub
    into = tmp_path / "followed"
    for minor in range(4):
        publish(server, f"v1.{minor}")
        pull(REPO, into, endpoint=endpoint)
    pull(REPO, into, version="v1.0", endpoint=endpoint, keep=2)
    assert visible(into) == ["current", "v1.0", "v1.2", "v1.3"]
    pull(REPO, into, endpoint=endpoint, keep=1)
    assert visible(into) == ["current", "v1.3"]


@pytest.mark.parametrize(
    ("status", "code"),
    [(404, "not_found"), (401, "not_found"), (403, "not_permitted"), (409, "conflict"), (429, "rate_limited"),
     (500, "unreachable"), (503, "unreachable")],
)  # fmt: skip
def test_what_the_server_refuses_has_a_code(
    hub: tuple[Hub, str], tmp_path: Path, status: int, code: str
) -> None:
    server, endpoint = hub
    server.status = status
    with pytest.raises(HubError) as caught:
        pull(REPO, tmp_path / "followed", endpoint=endpoint)
    assert caught.value.code == code


def test_a_server_that_says_nothing_is_not_waited_for_for_ever(
    hub: tuple[Hub, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, endpoint = hub
    monkeypatch.setattr(repository, "_TIMEOUT_SECS", 0.3)
    server.is_silent = True
    with pytest.raises(HubError) as caught:
        pull(REPO, tmp_path / "followed", endpoint=endpoint)
    assert caught.value.code == "unreachable"


def test_the_token_comes_from_the_environment_or_a_file(
    hub: tuple[Hub, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, endpoint = hub
    push(DEFAULT_BUNDLE, REPO, endpoint=endpoint)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError) as caught:
        versions(REPO, endpoint=endpoint)
    assert caught.value.code == "not_found"
    monkeypatch.setenv("HF_TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(HubError, match="HF_TOKEN_FILE"):
        versions(REPO, endpoint=endpoint)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert versions(REPO, endpoint=endpoint) == ["v1.0"]


@pytest.mark.parametrize("source", ["/nowhere/at/all", "./nowhere"])
def test_a_folder_that_is_not_there_is_not_asked_of_a_server(source: str, tmp_path: Path) -> None:
    with pytest.raises(HubError, match="no such folder"):
        pull(source, tmp_path / "followed", endpoint="http://127.0.0.1:9")


def test_a_source_without_the_version_says_so(hub: tuple[Hub, str], tmp_path: Path) -> None:
    server, endpoint = hub
    server.commits[REPO], server.tags[REPO] = [{}], {"latest": "x"}
    with pytest.raises(HubError, match="no version tag"):
        pull(REPO, tmp_path / "followed", endpoint=endpoint)
    publish(server, "v1.0")
    with pytest.raises(HubError, match=r"no version v1\.7"):
        pull(REPO, tmp_path / "followed", version="v1.7", endpoint=endpoint)


def test_two_pulls_do_not_share_a_folder(hub: tuple[Hub, str], tmp_path: Path) -> None:
    publish(hub[0], "v1.0")
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(HubError, match="busy"):
            pull(REPO, tmp_path, endpoint=hub[1])
    assert pull(REPO, tmp_path, endpoint=hub[1]).is_new


def test_a_folder_that_cannot_be_written_is_the_disks_fault(
    hub: tuple[Hub, str], tmp_path: Path
) -> None:
    publish(hub[0], "v1.0")
    (tmp_path / "file").write_text("")
    with pytest.raises(HubError) as caught:
        pull(REPO, tmp_path / "file" / "into", endpoint=hub[1])
    assert caught.value.code == "disk"


def test_a_folder_of_versions_is_a_source_too(tmp_path: Path) -> None:
    source, into = tmp_path / "source", tmp_path / "followed"
    changed_copy(source / "v1.0", version="old")
    changed_copy(source / "v1.1")
    (source / "v1.2").mkdir()
    assert versions(str(source)) == ["v1.0", "v1.1", "v1.2"]
    pulled = pull(str(source), into)
    assert (pulled.version, pulled.refused["v1.2"][0]) == ("v1.1", "missing_file")
    shutil.copy(DEFAULT_BUNDLE / "manifest.json", source / "v1.2")
    assert pull(str(source), into).refused["v1.2"][0] == "missing_file"
    shutil.copytree(DEFAULT_BUNDLE, source / "v1.2", dirs_exist_ok=True)
    assert pull(str(source), into).version == "v1.2"


def test_a_folder_of_versions_can_be_pushed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    bundle = shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle")
    (bundle / ".notes").write_text("mine")
    for version in ("v1.0", "v1.1"):
        assert main(["model", "push", "bundle", "--repo", "./new/repo"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told == {"repo": "./new/repo", "version": version}
    assert push(bundle, str(tmp_path / "new" / "repo"), is_major=True) == "v2.0"
    assert push(bundle, "new/repo", tag="v3.7") == "v3.7"  # it is there, so it is the folder
    assert versions("./new/repo") == ["v1.0", "v1.1", "v2.0", "v3.7"]
    names = {file.name for file in DEFAULT_BUNDLE.iterdir()}
    assert {file.name for file in (tmp_path / "new/repo/v3.7").iterdir()} == names
    assert pull("./new/repo", tmp_path / "followed").version == "v3.7"
    for tag in ("v1.1", "1.2", "latest"):
        with pytest.raises(HubError, match="no_version"):
            push(bundle, "./new/repo", tag=tag)


def test_pushes_at_the_same_time_get_versions_of_their_own(tmp_path: Path) -> None:
    manifest = read_manifest(DEFAULT_BUNDLE)
    few = {name: manifest.sha256[name] for name in ("classifier.onnx", "reference.json")}
    manifest = msgspec.structs.replace(manifest, sha256=few)
    source = FolderSource(tmp_path / "repo")
    source.prepare()
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(_publish_next, source, DEFAULT_BUNDLE, manifest, is_major=False)
            for _ in range(4)
        ]
    made = sorted(job.result() for job in jobs)
    assert made == ["v1.0", "v1.1", "v1.2", "v1.3"]
    assert visible(tmp_path / "repo") == made
    assert not list((tmp_path / "repo").glob(".*.part"))


def test_a_push_that_waits_too_long_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waybill.hub.folder._PUSH_WAIT_SECS", 0.1)
    with sole_use(tmp_path / "repo"), pytest.raises(HubError) as caught:
        push(DEFAULT_BUNDLE, str(tmp_path / "repo"))
    assert caught.value.code == "busy"


def test_a_name_that_is_neither_folder_nor_repository_says_how_to_write_it() -> None:
    with pytest.raises(HubError, match=r"\./versions") as caught:
        push(DEFAULT_BUNDLE, "versions")
    assert caught.value.code == "not_found"


def test_a_push_to_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HubError) as caught:
        push(DEFAULT_BUNDLE, str(tmp_path / "file" / "repo"))
    assert caught.value.code == "disk"
    with pytest.raises(BundleError, match="golden"):
        push(changed_copy(tmp_path / "bad", golden=[]), str(tmp_path / "repo"))
    assert not (tmp_path / "repo").exists()


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
    monkeypatch.setattr(follow, "_START_SECS", 0.2)
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
        default = json.loads((DEFAULT_BUNDLE / "manifest.json").read_bytes())["version"]
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
        push(DEFAULT_BUNDLE, str(tmp_path / "new"), labels=labels)
    metrics = Metrics("test")
    settings = ModelSettings(follow=FollowSettings(source=source, into=str(tmp_path / "into")))
    assert not await ModelFollower(settings, metrics, labels).pull()
    assert metrics.model_pulls.labels("labels")._value.get() == 1


async def test_a_pull_that_takes_too_long_is_ended(
    hub: tuple[Hub, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, endpoint = hub
    server.is_silent = True
    monkeypatch.setattr(follow, "_PULL_SECS", 1.0)
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


def in_force(into: Path) -> str:
    return (into / "current").readlink().name


def test_a_version_that_was_rolled_back_waits_for_a_newer_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, into = tmp_path / "source", tmp_path / "followed"
    for tag in ("v1.0", "v1.1"):
        push(DEFAULT_BUNDLE, str(source), tag=tag)
        pull(str(source), into)
    command = ["model", "rollback", "--into", str(into)]
    assert main(command) == 0
    assert "--forward" in capsys.readouterr().out
    assert in_force(into) == "v1.0"

    again = pull(str(source), into)
    assert (again.version, again.is_new) == ("v1.0", False)
    assert again.refused["v1.1"].code == "rolled_back"
    push(DEFAULT_BUNDLE, str(source), tag="v1.2")
    assert pull(str(source), into).version == "v1.2"

    rollback(into, TEN)
    assert in_force(into) == "v1.0"
    assert main([*command, "--forward"]) == 0
    assert in_force(into) == "v1.2"
    assert left_alone(into) == frozenset()


def test_a_pull_of_one_version_ends_its_rollback(tmp_path: Path) -> None:
    source, into = tmp_path / "source", tmp_path / "followed"
    for tag in ("v1.0", "v1.1"):
        push(DEFAULT_BUNDLE, str(source), tag=tag)
        pull(str(source), into)
    assert rollback(into, TEN, to="v1.0") == ("v1.1", "v1.0")
    assert pull(str(source), into, version="v1.1").version == "v1.1"
    assert pull(str(source), into).version == "v1.1"


def test_nothing_is_rolled_back_where_nothing_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, into = tmp_path / "source", tmp_path / "followed"
    with pytest.raises(HubError, match="no such folder"):
        rollback(into, TEN)
    push(DEFAULT_BUNDLE, str(source))
    into.mkdir()
    with pytest.raises(HubError, match="no version is in force"):
        rollback(into, TEN)
    pull(str(source), into)
    with pytest.raises(HubError, match=r"before v1\.0 to go back to"):
        rollback(into, TEN)
    with pytest.raises(HubError, match="no version was rolled back"):
        forward(into, TEN)
    pinned = ["--set", "model.follow.version=v1.0", "--set", f"model.follow.into={into}"]
    assert main(["model", "rollback", *pinned]) == 1
    assert "model.follow.version: v1.0 pins" in capsys.readouterr().err


def test_a_source_with_nothing_but_what_was_rolled_back_changes_nothing(tmp_path: Path) -> None:
    source, into = tmp_path / "source", tmp_path / "followed"
    for tag in ("v1.0", "v1.1"):
        push(DEFAULT_BUNDLE, str(source), tag=tag)
        pull(str(source), into)
    rollback(into, TEN)
    shutil.rmtree(source / "v1.0")
    with pytest.raises(HubError, match="rolled_back"):
        pull(str(source), into)
    assert in_force(into) == "v1.0"


@pytest.mark.parametrize("name", ["refs", "manifest", "file"])
def test_a_server_whose_answer_never_ends_is_left_and_leaves_nothing(
    hub: tuple[Hub, str], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, endpoint = hub
    publish(server, "v1.0")
    server.endless = {"refs": "/refs", "manifest": "/manifest.json", "file": "/encoder.onnx"}[name]
    monkeypatch.setattr(repository, "_MOST_BYTES", 1 << 20)
    monkeypatch.setattr(repository, "_SAID_BYTES", 1 << 16)
    with pytest.raises(HubError) as caught:
        pull(REPO, tmp_path / "followed", endpoint=endpoint)
    assert caught.value.code == "too_large"
    assert not list((tmp_path / "followed").glob(".v*.part"))


def test_what_comes_compressed_is_counted_as_what_it_may_become() -> None:
    class Squeezed:
        def __init__(self, pieces: Callable[..., Iterator[bytes]]) -> None:
            self.headers: Mapping[str, str] = {"Content-Encoding": "gzip"}
            self.iter_raw = pieces

    response = Squeezed(lambda _: iter([b"x" * 1000]))
    answers = Answers(REPO)
    answers.allow(999 * 1024)
    answers.watch(response)
    pieces = response.iter_raw()
    with pytest.raises(HubError):
        next(pieces)
