"""A small bundle to tamper with: a copy of the default one in a folder of the test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

DEFAULT_BUNDLE = Path(__file__).parents[3] / "models" / "default"


@pytest.fixture
def bundle_copy(tmp_path: Path) -> Path:
    """A writable copy of the default bundle."""
    return shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle")
