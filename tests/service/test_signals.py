"""What a second Ctrl-C does."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

import pytest

from waybill.service import signals


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
async def test_a_second_interrupt_ends_at_once(
    monkeypatch: pytest.MonkeyPatch, first: signal.Signals
) -> None:
    """A SIGTERM counts for none: the parent of workers sends one behind the terminal's SIGINT."""
    ended = asyncio.Event()
    monkeypatch.setattr(signals, "end_at_once", ended.set)

    async def reload() -> bool:
        return True

    serving = asyncio.create_task(signals.until_stopped(reload))
    await asyncio.sleep(0)
    os.kill(os.getpid(), first)
    await serving
    os.kill(os.getpid(), signal.SIGINT)
    if first == signal.SIGTERM:
        await asyncio.sleep(0)
        assert not ended.is_set()
        os.kill(os.getpid(), signal.SIGINT)
    await ended.wait()


def test_the_end_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(logging, "shutdown", lambda: None)
    signals.end_at_once()
    assert codes == [130]
    assert "ending at once" in caplog.text
