"""A connection whose other side is gone costs an OSError, on each event loop the same."""

from __future__ import annotations

import ast
import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest
import uvloop

from tests.patience import until
from waybill.core.streams import send

SOURCES = Path(__file__).parents[2] / "sidecar" / "waybill"
#: Closing sends no end but a reset.
RESET = struct.pack("ii", 1, 0)
RUNS = (asyncio.run, uvloop.run)
Run = Callable[[Coroutine[None, None, None]], None]


@pytest.mark.parametrize("run", RUNS)
def test_what_is_sent_arrives(run: Run) -> None:
    async def serve() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await send(writer, await reader.read(100))
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            reader, writer = await asyncio.open_connection(host, port)
            await send(writer, b"hello")
            assert await reader.read() == b"hello"
            writer.close()

    run(serve())


@pytest.mark.parametrize("run", RUNS)
def test_a_connection_that_was_reset_is_an_os_error(run: Run) -> None:
    async def serve() -> None:
        outcome: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            await until(writer.is_closing)
            await asyncio.sleep(0)  # its handle is closed now
            try:
                await send(writer, b"an acknowledgement")
            except BaseException as error:
                outcome.set_result(error)
            else:
                outcome.set_result(None)

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            with socket.create_connection(server.sockets[0].getsockname()) as client:
                client.sendall(b"a batch")
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            assert isinstance(await outcome, OSError)

    run(serve())


def test_streams_are_written_to_in_one_place() -> None:
    """What writes by itself would meet uvloop's RuntimeError."""
    writers = {"writer", "_writer", "pipe", "stdin"}
    found = []
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Attribute) or node.attr != "drain":
                continue
            name = getattr(node.value, "attr", getattr(node.value, "id", ""))
            if name in writers:
                found.append(path.relative_to(SOURCES).as_posix())
    assert found == ["core/streams.py"]
