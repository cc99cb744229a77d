"""Versions that are rolled back, and servers that say too much."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.hubserver import Hub
from tests.taxonomies import TEN

pytest.importorskip("huggingface_hub", reason="the hub extra is not installed")

from tests.hub.light import light_bundle
from tests.hub.rig import REPO, publish
from waybill.cli.main import main
from waybill.core.errors import BundleError
from waybill.hub import repository
from waybill.hub.answers import Answers
from waybill.hub.outcome import HubError
from waybill.hub.pull import pull
from waybill.hub.push import push
from waybill.hub.rollback import forward, left_alone, rollback

# The client's own: it hands bytes to its HTTP library in a way that this one calls outdated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")


def in_force(into: Path) -> str:
    return (into / "current").readlink().name


def test_a_version_that_was_rolled_back_waits_for_a_newer_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, into = tmp_path / "source", tmp_path / "followed"
    for tag in ("v1.0", "v1.1"):
        push(light_bundle(), str(source), tag=tag)
        pull(str(source), into)
    command = ["model", "rollback", "--into", str(into)]
    assert main(command) == 0
    assert "--forward" in capsys.readouterr().out
    assert in_force(into) == "v1.0"

    again = pull(str(source), into)
    assert (again.version, again.is_new) == ("v1.0", False)
    assert again.refused["v1.1"].code == "rolled_back"
    push(light_bundle(), str(source), tag="v1.2")
    assert pull(str(source), into).version == "v1.2"

    rollback(into, TEN)
    assert in_force(into) == "v1.0"
    assert main([*command, "--forward"]) == 0
    assert in_force(into) == "v1.2"
    assert left_alone(into) == frozenset()


def test_a_pull_of_one_version_ends_its_rollback(tmp_path: Path) -> None:
    source, into = tmp_path / "source", tmp_path / "followed"
    for tag in ("v1.0", "v1.1"):
        push(light_bundle(), str(source), tag=tag)
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
    push(light_bundle(), str(source))
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
        push(light_bundle(), str(source), tag=tag)
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
    monkeypatch.setattr(repository, "MOST_BYTES", 1 << 20)
    monkeypatch.setattr(repository, "_SAID_BYTES", 1 << 16)
    with pytest.raises(HubError) as caught:
        pull(REPO, tmp_path / "followed", endpoint=endpoint)
    assert caught.value.code == "too_large"
    assert not list((tmp_path / "followed").glob(".v*.part"))


@pytest.mark.parametrize("name", ['"../../x"', '"a/b"', "a" * 129, "a\nb", ""])
def test_what_a_server_calls_a_file_leads_nowhere(name: str) -> None:
    class Named:
        def __init__(self, headers: Mapping[str, str]) -> None:
            self.headers = headers
            self.iter_raw: Callable[..., Iterator[bytes]] = lambda _: iter([b""])

    answers = Answers(REPO)
    answers.watch(Named({"ETag": f'W/"{"a" * 64}"', "X-Repo-Commit": "b" * 40}))
    answers.watch(Named({"ETag": 'W/"2c-a/b+c="'}))  # of an answer that is no file
    for header in ("ETag", "X-Linked-Etag", "X-Repo-Commit"):
        with pytest.raises(HubError, match="is not a name"):
            answers.watch(Named({"X-Repo-Commit": "b" * 40, header: name}))


def test_a_file_that_was_spoilt_on_its_way_is_fetched_again_an_hour_later(
    hub: tuple[Hub, str], tmp_path: Path
) -> None:
    server, endpoint = hub
    publish(server, "v1.0")
    into = tmp_path / "followed"
    good = server.commits[REPO][-1]["classifier.onnx"]
    server.commits[REPO][-1]["classifier.onnx"] = bytes(len(good))
    for _ in range(2):
        with pytest.raises(BundleError, match="hash"):
            pull(REPO, into, endpoint=endpoint)
    server.commits[REPO][-1]["classifier.onnx"] = good
    assert server.sent["classifier.onnx"] == len(good)
    os.utime(into / ".v1.0.part" / "classifier.onnx", (1.0, 1.0))
    assert pull(REPO, into, endpoint=endpoint).is_new
    assert server.sent["classifier.onnx"] == 2 * len(good)
    assert server.sent["encoder.onnx"] < 2 * len(server.commits[REPO][-1]["encoder.onnx"])


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
