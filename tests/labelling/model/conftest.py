"""A small bundle to tamper with: a copy of the default one in a folder of the test."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.labelling.model.encoders_rig import GeminiServer

DEFAULT_BUNDLE = Path(__file__).parents[3] / "models" / "default"


@pytest.fixture
def bundle_copy(tmp_path: Path) -> Path:
    """A writable copy of the default bundle."""
    return shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[GeminiServer]:
    pytest.importorskip("google.genai", reason="the gemini extra is not installed")
    server = GeminiServer()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    (tmp_path / "key").write_text("k-1\n")
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    monkeypatch.setenv("GEMINI_API_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("GEMINI_BASE_URL", server.url)
    yield server
    server.shutdown()
    server.server_close()
