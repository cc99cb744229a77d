"""What the tests of listeners share."""

from __future__ import annotations

import pytest

from waybill.ingest.forward import delivering, reads


@pytest.fixture(name="impatience")
def _impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "_RETRY_SECS", 0.01)
    monkeypatch.setattr(reads, "_LAST_WORDS_SECS", 0.05)
