"""How a Forward listener drains and stops."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.ingest.forward_rig import entry, message, serving, talking
from tests.patience import until
from waybill.ingest.forward import delivering, server

pytestmark = pytest.mark.usefixtures("impatience")


async def test_draining_refuses_what_can_be_sent_again_and_takes_the_rest() -> None:
    async with serving() as rig, talking(rig) as asking, talking(rig) as silent:
        rig.handback.gate.clear()
        asking.send(message("a", chunk="c1"), message("b", chunk="c2"))
        silent.send(message("x"), message("y"))
        await until(lambda: rig.connections() == 2)
        await rig.handback.begun.wait()
        await until(lambda: rig.flow._running == 2)
        rig.server.pause()
        draining = asyncio.create_task(rig.flow.drain(20))
        rig.handback.gate.set()
        assert await draining
        await rig.server.stop()
        assert [await asking.answer(), await asking.answer()] == [{"ack": "c1"}, None]
        assert sorted(map(str, rig.handback.logs)) == ["a", "x", "y"]
        assert rig.refused("draining") == 1


async def test_stop_lets_a_message_under_way_end() -> None:
    async with serving() as rig, talking(rig) as client:
        rig.handback.gate.clear()
        client.send(message("a", chunk="c"))
        await rig.handback.begun.wait()
        stopping = asyncio.create_task(rig.server.stop())
        await asyncio.sleep(0.1)
        assert not stopping.done()
        rig.handback.gate.set()
        await stopping
        assert await client.answer() == {"ack": "c"}


async def test_stop_waits_for_what_is_between_two_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "_RETRY_SECS", 0.3)
    async with serving() as rig, talking(rig) as client:
        rig.handback.failures = 1
        client.send(message("a"))
        await until(lambda: rig.refused("connect"))
        assert await rig.flow.drain(5)
        await rig.server.stop()
        assert rig.handback.logs == ["a"]


async def test_what_stop_must_give_up_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_STOP_SECS", 0.1)
    async with serving(letters=tmp_path) as rig, talking(rig) as asking, talking(rig) as silent:
        rig.handback.gate.clear()
        asking.send(message("a", chunk="c"))
        silent.send(message("b"))
        await until(lambda: rig.flow._running == 2)
        await rig.server.stop()
        assert await asking.answer() is None
        assert [file.read_bytes() for file in tmp_path.glob("*.body")] == [entry("b")]
        assert rig.refused("stopped") == 1


async def test_idle_connections_end_with_the_server() -> None:
    async with serving() as rig, talking(rig) as client:
        client.send(message("a", chunk="c"))
        await client.answer()
        await rig.server.stop()
        assert await client.answer() is None
        with pytest.raises(IndexError):
            await rig.connect()
