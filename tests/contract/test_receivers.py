"""The receivers of the tests themselves end as a whole."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from tests.contract.receivers import ForwardReceiver
from tests.patience import patience


@pytest.mark.parametrize("turns", range(8))
async def test_a_connection_that_has_just_come_is_cut_at_the_end(turns: int) -> None:
    """However far the loop has got with it: before, at, and after its handler's first line."""
    receiver = ForwardReceiver()
    await receiver.start()
    host, port = receiver.url.removeprefix("forward://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.setblocking(False)
        for _ in range(turns):
            await asyncio.sleep(0)
        await receiver.stop()
        async with patience():
            with contextlib.suppress(ConnectionResetError):  # as good an end
                assert await asyncio.get_running_loop().sock_recv(connection, 1) == b""
    assert asyncio.all_tasks() == {asyncio.current_task()}
