"""Fixtures of these tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hubserver import TOKEN, Hub
from tests.serving import serving_apart

pytest.importorskip("huggingface_hub", reason="the hub extra is not installed")
from huggingface_hub import close_session


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Hub, str]]:
    """A Hub on a thread of its own: the client is synchronous."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    hub = Hub()
    with serving_apart(hub.application()) as port:
        yield hub, f"http://127.0.0.1:{port}"
        close_session()
