"""Clients that go away amid what they send: nothing in the log looks like a failure of ours."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.conftest import Running
from tests.patience import until

#: More than an empty object has, and less than any piece of a body.
_MUCH = 32 << 10
PATHS = (
    "/v1/label",
    "/v1/logs",
    "/v1/explain",
    "/v1/rules/test",
    "/v1/corrections",
    "/v1/classify/csv",
    "/-/reload",
)


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=b"])
async def test_a_client_that_leaves_amid_its_body_is_no_failure(
    running: Running, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    caplog.set_level(logging.INFO)
    async with running("model.path=null") as sidecar:
        url = urlsplit(sidecar.service.address)
        for path in PATHS:
            _, writer = await asyncio.open_connection(url.hostname, url.port)
            head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n"
            writer.write(f"{head}Content-Type: {kind}\r\n\r\n--b\r\n".encode())
            await writer.drain()
            await until(lambda: sidecar.metric("waybill_open_connections", ingest="http") == 1)
            writer.transport.abort()
            await until(lambda: sidecar.metric("waybill_open_connections", ingest="http") == 0)
    assert not [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]
    assert not [one for one in caplog.records if getattr(one, "status", 0) == 500]


@pytest.fixture(name="unreachable")
def _unreachable() -> Iterator[list[object]]:
    """What only the garbage collector would let go of, once it has been asked to collect."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield gc.garbage
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def _large_bytes(things: list[object]) -> list[object]:
    """Those of ``things``, and of what they refer to, that are bytes of many."""
    all_of_them = [*things, *gc.get_referents(*things)]
    return [one for one in all_of_them if isinstance(one, bytes) and sys.getsizeof(one) > _MUCH]


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_that_broke_off_does_not_wait_for_the_collector(
    running: Running, path: str, unreachable: list[object]
) -> None:
    """Nothing counts it any more."""
    async with running("model.path=null") as sidecar:
        url = urlsplit(sidecar.service.address)
        _, writer = await asyncio.open_connection(url.hostname, url.port)
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n"
        writer.write(f"{head}Content-Type: application/json\r\n\r\n".encode() + b"x" * 400_000)
        await writer.drain()
        await until(lambda: sidecar.metric("waybill_open_connections", ingest="http") == 1)
        writer.transport.abort()
        await until(lambda: sidecar.metric("waybill_open_connections", ingest="http") == 0)
        await until(lambda: sidecar.metric("waybill_inflight_bytes") == 0)
        gc.collect()
        assert not _large_bytes(unreachable)


async def test_an_answer_that_broke_off_does_not_wait_for_the_collector(
    running: Running, unreachable: list[object]
) -> None:
    body = b'{"log":"order failed"}\n' * 100_000
    async with running("model.path=null") as sidecar:
        url = urlsplit(sidecar.service.address)
        reader, writer = await asyncio.open_connection(url.hostname, url.port, limit=4096)
        head = b"POST /v1/label HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
        writer.write(head + body)
        await reader.read(4096)
        writer.transport.abort()
        await until(lambda: sidecar.metric("waybill_inflight_bytes") == 0)
        gc.collect()
        assert not _large_bytes(unreachable)
