"""What these tests share."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.hubserver import Hub, commit_id

pytest.importorskip("huggingface_hub", reason="the hub extra is not installed")


ROOT = Path(__file__).parents[2]
DEFAULT_BUNDLE = ROOT / "models" / "default"
REPO = "acme/labels"


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
