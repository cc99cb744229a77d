"""Fixtures of these tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.handback.forward_rig import (
    Receiver,
)
from waybill.handback import push as handback_push


@pytest.fixture(name="receiver")
async def _receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


@pytest.fixture(name="impatience")
def _impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handback_push, "RETRY_SECS", 0.01)
