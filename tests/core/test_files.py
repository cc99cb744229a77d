"""Files that are read whole have an end, and what is no file is not waited for."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from waybill.core.errors import BundleError, ConfigError, CorrectionsError
from waybill.core.files import read_small
from waybill.core.labels import read_taxonomy
from waybill.hub.folder import copy_bundle
from waybill.hub.outcome import HubError
from waybill.labelling.corrections.files import fingerprint, read_history
from waybill.labelling.model.manifest import MANIFEST, read_manifest
from waybill.ops.watched import WatchedFile


def _unusual(folder: Path, name: str) -> list[Path]:
    """A pipe, a device without an end, a file of a terabyte, a folder."""
    pipe, device, endless, place = (folder / f"{i}" for i in range(4))
    for path in (pipe, device, endless, place):
        path.mkdir(parents=True)
    os.mkfifo(pipe / name)
    (device / name).symlink_to("/dev/zero")
    with (endless / name).open("wb") as file:
        file.truncate(1 << 40)
    (place / name).mkdir()
    return [path / name for path in (pipe, device, endless, place)]


def test_what_is_no_small_file_is_refused(tmp_path: Path) -> None:
    usual = tmp_path / "usual"
    usual.write_bytes(b"x" * 10)
    assert read_small(usual, 10) == b"x" * 10
    with pytest.raises(OSError, match="larger than 9 bytes"):
        read_small(usual, 9)
    for path in _unusual(tmp_path, "file"):
        with pytest.raises(OSError, match=r"larger|regular|directory"):
            read_small(path, 10)


def test_nor_is_it_read_as_secret_manifest_or_labels(tmp_path: Path) -> None:
    for path in _unusual(tmp_path, MANIFEST):
        with pytest.raises(BundleError):
            read_manifest(path.parent)
        with pytest.raises(ConfigError):
            read_taxonomy(path)
        with pytest.raises(OSError, match=r"larger|regular|directory"):
            WatchedFile(path)


def test_nor_is_it_waited_for_or_copied_where_files_may_be_large(tmp_path: Path) -> None:
    for path in _unusual(tmp_path, "a.ndjson"):
        if not path.is_dir():
            fingerprint([path])
            with pytest.raises(CorrectionsError):
                read_history([path])
    manifest = read_manifest(Path("models/default"))
    for path in _unusual(tmp_path / "more", "classifier.onnx"):
        for name in (MANIFEST, *manifest.sha256):
            if name != path.name:
                (path.parent / name).write_bytes(b"")
        with pytest.raises((BundleError, HubError)):
            copy_bundle(path.parent, tmp_path / "copy", manifest)


def test_a_secret_that_becomes_a_pipe_stays_what_it_was(tmp_path: Path) -> None:
    now = [0.0]
    path = tmp_path / "token"
    path.write_bytes(b"secret")
    watched = WatchedFile(path, lambda: now[0])
    (tmp_path / "other").symlink_to("/dev/zero")
    for kind in ("/dev/zero", str(tmp_path)):
        link = tmp_path / "link"
        link.symlink_to(kind)
        link.replace(path)
        now[0] += 10
        assert not watched.refresh()
        assert watched.content == b"secret"
        assert watched.problem


def test_a_gzip_file_of_very_many_parts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson.gz"
    path.write_bytes(gzip.compress(b"\n") * 1000)
    assert not read_history([path]).corrections
    path.write_bytes(gzip.compress(b"\n") * 1001)
    with pytest.raises(CorrectionsError, match="parts"):
        read_history([path])
