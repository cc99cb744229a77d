"""What these tests share."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.hub.light import light_bundle
from tests.hubserver import Hub, commit_id

pytest.importorskip("huggingface_hub", reason="the hub extra is not installed")

ROOT = Path(__file__).parents[2]
DEFAULT_BUNDLE = ROOT / "models" / "default"
REPO = "acme/labels"


def changed_copy(target: Path, **changes: Any) -> Path:
    """The light bundle with another manifest."""
    shutil.copytree(light_bundle(), target)
    manifest = json.loads((target / "manifest.json").read_bytes()) | changes
    (target / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return target


def files_of(bundle: Path) -> dict[str, bytes]:
    """What `publish` takes as the changes that make up ``bundle``."""
    return {file.name.replace(".", "__"): file.read_bytes() for file in bundle.iterdir()}


def publish(hub: Hub, tag: str, **changes: bytes) -> None:
    """Put a version into the repository as it is: the last commit with ``changes`` (dots as
    ``__``).
    """
    commits = hub.commits.setdefault(
        REPO, [{f.name: f.read_bytes() for f in light_bundle().iterdir()}]
    )
    commits.append(commits[-1] | {name.replace("__", "."): data for name, data in changes.items()})
    oid = commit_id(REPO, len(commits) - 1)
    hub.tags.setdefault(REPO, {})[tag] = oid


def manifest_bytes(**changes: Any) -> bytes:
    return msgspec.json.encode(
        json.loads((light_bundle() / "manifest.json").read_bytes()) | changes
    )


def visible(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
