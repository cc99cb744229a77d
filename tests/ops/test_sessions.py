"""Servers that we ask hold our event loop up with no answer, and spend no memory of ours."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.effort import allowed
from tests.gaps import gaps
from tests.test_layers import modules
from waybill.labelling.llm.providers.http_client import http_client
from waybill.ops.sessions import PIECE_BYTES, open_session

INTERIM = b"HTTP/1.1 103 E\r\n\r\n"
FINAL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#: What comes in one piece, and is parsed in as many as it has.
MANY = INTERIM * 20_000
MOST_SECS = 0.05


@contextlib.asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[str]:
    """The address of a server that answers each request with the next."""
    left = list(answers)
    tasks: list[asyncio.Task[None]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(EOFError, ConnectionError):
            while left:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(left.pop(0))
                await writer.drain()
            await reader.read()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.create_task(answer(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_interim_answers_without_end_are_left_and_hold_nobody_up() -> None:
    async with answering(MANY + FINAL) as address, open_session() as session, gaps() as found:
        with pytest.raises(aiohttp.ClientConnectionError, match="interim answers"):
            await session.get(address)
    assert found.worst < allowed(MOST_SECS)


async def test_interim_answers_without_end_of_a_provider_hold_nobody_up() -> None:
    async with (
        answering(MANY + FINAL) as address,
        http_client(60, None) as client,
        gaps() as found,
    ):
        reply = await client.get(address)
    assert reply.text == "ok"
    assert found.worst < allowed(MOST_SECS)


async def test_a_few_interim_answers_before_each_answer_are_none_of_our_business() -> None:
    async with answering(*[INTERIM * 10 + FINAL] * 5) as address, open_session() as session:
        for _ in range(5):
            async with session.get(address) as reply:
                assert await reply.read() == b"ok"


@pytest.mark.parametrize(
    "size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, 10 * PIECE_BYTES + 1, 5 << 20]
)
async def test_an_answer_of_any_size_comes_whole(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
    async with (
        answering(head + body[:size], FINAL) as address,
        open_session() as session,
    ):
        async with session.get(address) as reply:
            assert await reply.read() == body[:size]
        async with session.get(address) as reply:
            assert await reply.read() == b"ok"


async def test_what_is_no_http_is_an_error_of_the_client() -> None:
    async with answering(b"nonsense\r\n" * 10_000) as address, open_session() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(address)


async def test_what_comes_compressed_though_nobody_asked_stays_so() -> None:
    packed = gzip.compress(b"x" * 1_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    async with (
        answering(head % len(packed) + packed) as address,
        open_session() as session,
        session.get(address) as reply,
    ):
        assert await reply.read() == packed


#: They ask only servers that they have started themselves.
OWN = {"waybill.ops.sessions", "waybill.cli.bench.sidecar", "waybill.cli.demo.play"}


def _opens(source: str) -> bool:
    called = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return any(ast.unparse(one).endswith(("ClientSession", "TCPConnector")) for one in called)


def test_nobody_asks_in_another_way() -> None:
    found = {name for name, path in modules().items() if _opens(path.read_text())}
    assert found <= OWN, "open_session of waybill.ops.sessions, or say here why not"
