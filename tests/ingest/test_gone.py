"""Clients that go away amid what they send: nothing in the log looks like a failure of ours."""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import urlsplit

import pytest

from tests.conftest import Running
from tests.patience import until

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
