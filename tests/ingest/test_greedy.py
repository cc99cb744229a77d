"""Many peers at once: what is counted never goes beyond the limit, and nothing stays counted."""

from __future__ import annotations

import asyncio
import gzip
import json

import msgpack
import pytest

from tests.conftest import Running
from waybill.flow.inflight import Inflight

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
