"""Files that are read whole have an end, and what is no file is not waited for."""

from __future__ import annotations

import ast
import gzip
import os
from pathlib import Path

import pytest

from tests.taxonomies import TEN
from waybill.core.errors import BundleError, ConfigError, CorrectionsError
from waybill.core.files import read_small
from waybill.core.labels import read_taxonomy
from waybill.hub.folder import copy_bundle
from waybill.hub.outcome import HubError
from waybill.labelling.corrections.files import fingerprint, read_history
from waybill.labelling.llm.prompt import hash_file, load_prompt
from waybill.labelling.model.manifest import MANIFEST, read_manifest
from waybill.labelling.rules import files
from waybill.labelling.rules.files import content_hash, read_rule_files
from waybill.labelling.rules.unread import unread_files
from waybill.ops.watched import WatchedFile

PACKAGE = Path(__file__).parents[2] / "sidecar" / "waybill"
#: Who opens files in another way than `waybill.core.files` does, and why that is no danger.
OPENERS = {
    "ops/memory.py": "the system's own",
    "ops/processes.py": "the system's own",
    "labelling/rules/compiler.py": "the system's own",
    "labelling/rules/cache.py": "the own sources, and the system's own",
    "web/store/database.py": "the system's own",
    "api/description.py": "packaged",
    "api/openapi.py": "packaged",
    "web/templating.py": "packaged",
    "web/views/entry.py": "packaged",
    "patterns/files.py": "for commands",
    "settings/naming.py": "read at the start, when a pipe may stand for a file",
    "settings/secrets.py": "read at the start, when a pipe may stand for a file",
    "settings/yaml_file.py": "read at the start, when a pipe may stand for a file",
    "web/auth.py": "read at the start, when a pipe may stand for a file",
    "web/configmap.py": "of the cluster",
    "web/sample.py": "written by the workbench",
    "web/spreadsheet.py": "written by the workbench",
    "web/ways.py": "written by the workbench",
    "labelling/llm/build.py": "a store, no file",
}
#: Not part of what serves.
COMMANDS = ("cli/", "learn/", "settings/generate/")


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


def test_an_unusual_file_is_not_read_as_secret_manifest_or_labels(tmp_path: Path) -> None:
    for path in _unusual(tmp_path, MANIFEST):
        with pytest.raises(BundleError):
            read_manifest(path.parent)
        with pytest.raises(ConfigError):
            read_taxonomy(path)
        with pytest.raises(OSError, match=r"larger|regular|directory"):
            WatchedFile(path)


def test_an_unusual_file_is_not_waited_for_or_copied_where_files_may_be_large(
    tmp_path: Path,
) -> None:
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


def test_an_unusual_file_is_not_read_as_rules_or_prompt_however_it_got_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if each were exchanged between the look at it and the reading.
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    for path in _unusual(tmp_path, "a.yaml"):
        if path.is_dir():
            continue
        for read in (read_rule_files, content_hash):
            with pytest.raises(OSError, match=r"large|regular"):
                read([path.parent])
        with pytest.raises(OSError, match=r"large|regular"):
            hash_file(path)
        with pytest.raises(ConfigError):
            load_prompt(path, TEN)
        path.rename(path.with_name("a"))
        unread_files([path.parent])


def test_rule_files_are_so_many_and_so_large_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_TOTAL_BYTES", 5)
    monkeypatch.setattr(files, "MAX_FILES", 2)
    for name, of, match in (("a", 3, ""), ("b", 3, "more than 5 bytes"), ("c", 0, "more than 2 ")):
        (tmp_path / f"{name}.yaml").write_bytes(b"x" * of)
        for read in (read_rule_files, content_hash):
            if not match:
                read([tmp_path])
                continue
            with pytest.raises(OSError, match=match):
                read([tmp_path])


def _opens(path: Path) -> bool:
    """Whether a module opens files for reading in a way of its own."""
    text = path.read_text()
    if "read_" not in text and "open" not in text:
        return False
    for node in ast.walk(ast.parse(text)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        mode = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
        is_plain = not node.args or (isinstance(mode, str) and mode.startswith("r"))
        if node.func.attr in ("read_bytes", "read_text") or (node.func.attr == "open" and is_plain):
            return True
    return False


def test_files_are_opened_in_one_way() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith(COMMANDS) and _opens(path):
            found.add(name)
    assert found == OPENERS.keys()
