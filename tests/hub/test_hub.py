"""Versions in a repository, with the real client against a local server, and following them."""

from __future__ import annotations

import fcntl
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.hubserver import TOKEN, Hub
from tests.taxonomies import TEN
from waybill.core.errors import BundleError
from waybill.labelling.model.bundle import load_bundle

pytest.importorskip("huggingface_hub", reason="the hub extra is not installed")

from tests.hub.light import light_bundle
from tests.hub.rig import (
    DEFAULT_BUNDLE,
    REPO,
    changed_copy,
    files_of,
    manifest_bytes,
    publish,
    visible,
)
from waybill.cli.main import main
from waybill.hub import repository
from waybill.hub.outcome import HubError, Pulled
from waybill.hub.pull import pull
from waybill.hub.push import push
from waybill.hub.source import versions

# The client's own: it hands bytes to its HTTP library in a way that this one calls outdated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")


def test_versions_go_up_and_come_down(
    hub: tuple[Hub, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server, endpoint = hub
    assert push(light_bundle(), REPO, endpoint=endpoint) == "v1.0"
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
    for file in light_bundle().iterdir():
        assert (into / "v1.0" / file.name).read_bytes() == file.read_bytes()
    assert sorted(e.name for e in (into / "v1.0").iterdir()) == sorted(
        e.name for e in light_bundle().iterdir()
    )
    for tag in ("v1.1", "1.2", "latest"):
        with pytest.raises(HubError, match="no_version"):
            push(newer, REPO, tag=tag, endpoint=endpoint)
    assert server.private[REPO]


def test_a_push_holds_the_bundle_and_leaves_the_rest(hub: tuple[Hub, str], tmp_path: Path) -> None:
    server, endpoint = hub
    push(light_bundle(), REPO, endpoint=endpoint)
    server.commits[REPO].append(
        server.commits[REPO][-1] | {"README.md": b"# Labels", "old.onnx": b"x"}
    )
    bundle = shutil.copytree(light_bundle(), tmp_path / "bundle")
    (bundle / ".notes").write_text("mine")
    push(bundle, REPO, endpoint=endpoint)
    ours = {file.name for file in light_bundle().iterdir()}
    assert set(server.commits[REPO][-1]) == ours | {".gitattributes", "README.md"}
    assert pull(REPO, tmp_path / "followed", endpoint=endpoint).version == "v1.1"


def test_a_bundle_that_does_not_load_is_not_pushed(hub: tuple[Hub, str], tmp_path: Path) -> None:
    bundle = changed_copy(tmp_path / "bundle", golden=[])
    with pytest.raises(BundleError, match="golden"):
        push(bundle, REPO, endpoint=hub[1])
    assert hub[0].commits == {}


def test_a_repository_can_be_made_public(hub: tuple[Hub, str]) -> None:
    main(["model", "push", str(light_bundle()), "--repo", REPO, "--public", "--endpoint", hub[1]])
    assert hub[0].private[REPO] is False


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"classifier__onnx": b"something else"}, "hash"),
        ({"manifest__json": b"{"}, "manifest"),
        ({"manifest__json": {"labels": ["Nonsense"]}}, "labels"),
        ({"manifest__json": {"sha256": {"gone.onnx": "0" * 64}}}, "manifest"),
        ({"manifest__json": {"golden": [{"text": "disk full", "label": "HTTP Status"}]}}, "golden"),
    ],
)
def test_a_version_that_is_refused_is_kept_out_with_its_reason(
    hub: tuple[Hub, str], tmp_path: Path, changes: dict[str, Any], code: str
) -> None:
    files = {
        name: manifest_bytes(**one) if isinstance(one, dict) else one
        for name, one in changes.items()
    }
    server, endpoint = hub
    publish(server, "v1.0")
    into = tmp_path / "followed"
    pull(REPO, into, endpoint=endpoint)
    publish(server, "v1.1", **files)
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
        **files_of(light_bundle()),
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


def test_a_download_that_broke_off_goes_on_where_it_was_and_tells_no_signed_address(
    hub: tuple[Hub, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server, endpoint = hub
    publish(server, "v1.0", **files_of(DEFAULT_BUNDLE))  # larger than the client keeps at once
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
    assert server.signature not in caplog.text


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


@pytest.mark.parametrize("status", [400, 403, 404, 416, 500, 503])
def test_the_signed_address_of_a_file_is_not_told(
    hub: tuple[Hub, str], tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    server, endpoint = hub
    publish(server, "v1.0")
    server.storage_status = status
    with pytest.raises((HubError, BundleError)) as caught:
        pull(REPO, tmp_path / "followed", endpoint=endpoint)
    assert server.signature not in f"{caught.value}{caplog.text}"


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
    push(light_bundle(), REPO, endpoint=endpoint)
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
