"""Many peers at once: what is counted never goes beyond the limit, and nothing stays counted."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import json
import socket
from urllib.parse import urlsplit

import msgpack
import pytest

from tests.conftest import Running
from tests.patience import patience, until
from waybill.core.errors import OverloadedError
from waybill.flow.inflight import Inflight
from waybill.ingest.forward import partial
from waybill.wire.compression import compress
from waybill.wire.forward.frames import FrameReader

LIMIT = 2 << 20
LIMITS = (f"limits.body_bytes={LIMIT // 8}", f"limits.inflight_bytes={LIMIT}")
PEERS = 6
_RECORD = {"body": {"stringValue": "it failed"}}
_OTLP = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [_RECORD] * 2_000}]}]}).encode()
#: Much work in few bytes: path, content type, encoding, body.
BODIES = {
    "empty records": ("/v1/label", "application/json", "", b"{}\n" * 1_500),
    "an array": ("/v1/label", "application/json", "", b"[" + b",".join([b"{}"] * 1_500) + b"]"),
    "events": ("/v1/label", "application/msgpack", "", msgpack.packb([0, {}]) * 1_500),
    "text": ("/v1/label", "text/plain", "", b"x\n" * 1_500),
    "logs": ("/v1/label", "application/otlp+json", "", _OTLP),
    "protobuf": ("/v1/label", "application/x-protobuf", "", b"\x0a\x04\x12\x02\x12\x00" * 1_500),
    "one record": ("/v1/label", "application/json", "", b'{"log":"%b"}' % (b"x" * (LIMIT // 9))),
    "gzip": ("/v1/label", "application/json", "gzip", gzip.compress(b"{}\n" * 1_500)),
}


@pytest.mark.parametrize("name", BODIES)
async def test_what_is_counted_stays_within_the_limit(
    running: Running, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, kind, encoding, body = BODIES[name]
    counted: list[int] = []
    change = Inflight._change

    def note(self: Inflight, body_bytes: int, work_bytes: int) -> None:
        change(self, body_bytes, work_bytes)
        counted.append(self.bytes)

    monkeypatch.setattr(Inflight, "_change", note)
    headers = {"Content_Type": kind} | ({"Content_Encoding": encoding} if encoding else {})
    async with running("model.path=null", *LIMITS) as sidecar:
        answers = await asyncio.gather(*(sidecar.post(body, path, **headers) for _ in range(PEERS)))
        assert {status for status, _, _ in answers} <= {200, 503}
        assert 200 in {status for status, _, _ in answers}
    assert max(counted) <= LIMIT, max(counted) / LIMIT
    assert counted[-1] == 0


async def test_a_table_whose_answer_nobody_reads_is_counted_and_ends(running: Running) -> None:
    """The connection is closed by us: the client stays and reads nothing."""
    table = b"log\n" + b"order failed again\n" * 60_000
    head = b"POST /v1/classify/csv HTTP/1.1\r\nHost: a\r\nContent-Type: text/csv\r\n"
    head += b"Content-Length: %d\r\n\r\n" % len(table)
    async with running("model.path=null", "http.read_timeout_secs=4") as sidecar:
        url = urlsplit(sidecar.service.address)
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, (url.hostname, url.port))
        sending = asyncio.create_task(loop.sock_sendall(client, head + table))
        await until(lambda: sidecar.metric("waybill_inflight_bytes") >= 1 << 20)
        await until(lambda: sidecar.metric("waybill_inflight_bytes") == 0)
        sending.cancel()
        client.close()


@pytest.mark.parametrize(
    ("encoding", "refused"), [("", 13), ("gzip", 13), ("zstd", 2), ("snappy", 2), ("gzip, gzip", 2)]
)
async def test_no_more_tables_are_taken_at_once_than_have_room(
    running: Running, encoding: str, refused: int
) -> None:
    body = b"log\nit failed\n"
    for name in filter(None, encoding.split(", ")):
        body = compress(body, name)
    headers = {"Content_Encoding": encoding} if encoding else {}
    limits = ("limits.body_bytes=8388608", "limits.inflight_bytes=16777216")
    async with running("model.path=null", *limits) as sidecar:
        with contextlib.ExitStack() as held:
            grow = held.enter_context(sidecar.service.inflight.hold())
            statuses = []
            for _ in range(16):
                status, _, _ = await sidecar.post(body, "/v1/classify/csv", **headers)
                statuses.append(status)
                with contextlib.suppress(OverloadedError):
                    grow(1 << 20)
    assert statuses[0] == 200
    assert statuses.index(503) <= refused


async def test_a_half_sent_message_is_waited_for_a_minute_at_most(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert partial.MESSAGE_SECS == 60
    monkeypatch.setattr(partial, "MESSAGE_SECS", 0.1)
    receiver = ("return.type=http", "return.url=http://127.0.0.1:9/")
    async with running("model.path=null", "forward.listen=127.0.0.1:0", *receiver) as sidecar:
        assert sidecar.service.forward is not None
        host, _, port = sidecar.service.forward.addresses[0].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"\x93\xa1t\xc6\x00\x10\x00\x00half")
        async with patience():
            assert await reader.read() == b""
        writer.close()
        assert sidecar.metric("waybill_inflight_bytes") == 0
    held = [one for one in gc.get_objects() if isinstance(one, FrameReader)]
    assert not any(one.held_bytes for one in held), "it waits for the collector"


async def test_a_body_that_does_not_come_in_time_is_refused(running: Running) -> None:
    async with running("model.path=null", "http.read_timeout_secs=0.2") as sidecar:
        url = urlsplit(sidecar.service.address)
        for path in (b"/v1/label", b"/v1/explain", b"/v1/corrections", b"/v1/classify/csv"):
            reader, writer = await asyncio.open_connection(url.hostname, url.port)
            writer.write(b"POST " + path + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{")
            async with patience():
                head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503"), (path, head)
            writer.close()
