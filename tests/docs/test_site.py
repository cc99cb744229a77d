"""The site can be built strictly, where MkDocs is installed (the extra ``dev`` has it)."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

HAS_MKDOCS = importlib.util.find_spec("material") and importlib.util.find_spec("mkdocs")


@pytest.mark.skipif(not HAS_MKDOCS, reason="no mkdocs-material: install the extra `dev`")
def test_the_site_can_be_built(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    config = ROOT / "docs/site/mkdocs.yml"
    built = subprocess.run(
        [*command, "-f", str(config), "-d", str(tmp_path / "site")],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert (tmp_path / "site" / "alerts" / "index.html").is_file()
