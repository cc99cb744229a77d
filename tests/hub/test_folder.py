"""A folder of versions as a source, and as what is pushed to."""

from __future__ import annotations

import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from waybill.core.errors import BundleError
from waybill.labelling.model.manifest import read_manifest

pytest.importorskip("huggingface_hub", reason="the hub extra is not installed")

from tests.hub.light import light_bundle
from tests.hub.rig import changed_copy, visible
from tests.taxonomies import TOY_YAML
from waybill.cli.main import main
from waybill.hub import folder
from waybill.hub.folder import FolderSource, sole_use
from waybill.hub.outcome import HubError
from waybill.hub.pull import pull
from waybill.hub.push import _publish_next, push
from waybill.hub.source import versions
from waybill.settings.taxonomy import DEFAULT_LABELS

# The client's own: it hands bytes to its HTTP library in a way that this one calls outdated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")


def test_a_folder_of_versions_is_a_source_too(tmp_path: Path) -> None:
    source, into = tmp_path / "source", tmp_path / "followed"
    changed_copy(source / "v1.0", version="old")
    changed_copy(source / "v1.1")
    (source / "v1.2").mkdir()
    assert versions(str(source)) == ["v1.0", "v1.1", "v1.2"]
    pulled = pull(str(source), into)
    assert (pulled.version, pulled.refused["v1.2"][0]) == ("v1.1", "missing_file")
    shutil.copy(light_bundle() / "manifest.json", source / "v1.2")
    assert pull(str(source), into).refused["v1.2"][0] == "missing_file"
    shutil.copytree(light_bundle(), source / "v1.2", dirs_exist_ok=True)
    assert pull(str(source), into).version == "v1.2"


def test_a_folder_of_versions_can_be_pushed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    bundle = shutil.copytree(light_bundle(), tmp_path / "bundle")
    (bundle / ".notes").write_text("mine")
    for version in ("v1.0", "v1.1"):
        assert main(["model", "push", "bundle", "--repo", "./new/repo"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told == {"repo": "./new/repo", "version": version}
    assert push(bundle, str(tmp_path / "new" / "repo"), is_major=True) == "v2.0"
    assert push(bundle, "new/repo", tag="v3.7") == "v3.7"  # it is there, so it is the folder
    assert versions("./new/repo") == ["v1.0", "v1.1", "v2.0", "v3.7"]
    names = {file.name for file in light_bundle().iterdir()}
    assert {file.name for file in (tmp_path / "new/repo/v3.7").iterdir()} == names
    assert pull("./new/repo", tmp_path / "followed").version == "v3.7"
    for tag in ("v1.1", "1.2", "latest"):
        with pytest.raises(HubError, match="no_version"):
            push(bundle, "./new/repo", tag=tag)


def test_the_labels_are_those_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    source = shutil.copytree(light_bundle(), tmp_path / "repo" / "v1.0").parent
    (tmp_path / "own.yaml").write_text(TOY_YAML)
    own = ["--set", "labels.path=own.yaml"]
    assert main(["model", "push", str(light_bundle()), "--repo", str(source), *own]) == 1
    assert "the labels here are Fruit" in capsys.readouterr().err
    assert main(["model", "pull", "--repo", str(source), "--into", "followed", *own]) == 1
    assert "labels" in capsys.readouterr().err
    packaged = ["--labels", DEFAULT_LABELS]  # wins over the settings
    assert main(["model", "pull", "--repo", str(source), "--into", "f", *own, *packaged]) == 0


def test_pushes_at_the_same_time_get_versions_of_their_own(tmp_path: Path) -> None:
    manifest = read_manifest(light_bundle())
    few = {name: manifest.sha256[name] for name in ("classifier.onnx", "reference.json")}
    manifest = msgspec.structs.replace(manifest, sha256=few)
    source = FolderSource(tmp_path / "repo")
    source.prepare()
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(_publish_next, source, light_bundle(), manifest, is_major=False)
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
        push(light_bundle(), str(tmp_path / "repo"))
    assert caught.value.code == "busy"


def test_a_name_that_is_neither_folder_nor_repository_says_how_to_write_it() -> None:
    with pytest.raises(HubError, match=r"\./versions") as caught:
        push(light_bundle(), "versions")
    assert caught.value.code == "not_found"


def test_a_push_to_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HubError) as caught:
        push(light_bundle(), str(tmp_path / "file" / "repo"))
    assert caught.value.code == "disk"
    with pytest.raises(BundleError, match="golden"):
        push(changed_copy(tmp_path / "bad", golden=[]), str(tmp_path / "repo"))
    assert not (tmp_path / "repo").exists()


def test_a_file_that_grows_while_it_is_copied_fills_no_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Growing(io.BufferedReader):
        def read(self, size: int | None = -1, /) -> bytes:
            return bytes(size or 0)

    monkeypatch.setattr(folder, "open_regular", lambda path: Growing(io.FileIO(path)))
    monkeypatch.setattr(folder, "MOST_BYTES", 8 << 20)
    manifest = read_manifest(Path("models/default"))
    with pytest.raises(HubError) as caught:
        folder.copy_bundle(Path("models/default"), tmp_path / "copy", manifest)
    assert caught.value.code == "too_large"
    assert sum(file.stat().st_size for file in (tmp_path / "copy").iterdir()) <= 8 << 20
