"""OTLP that goes another way: to the body, to receivers without it, from other ingests."""

from __future__ import annotations

import json

import msgpack
import pytest
from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
)

from tests.collector import PROTOBUF, Collector, attributes, read, records_of
from tests.conftest import running
from tests.e2e.otlp_rig import beside, request

pytestmark = pytest.mark.e2e


async def test_a_big_request_goes_in_parts_with_their_resources(collector: Collector) -> None:
    sent = ExportLogsServiceRequest()
    for k in range(10):
        sent.MergeFrom(request(*(f"{k}/{i} {'x' * 100}" for i in range(50)), service=f"s{k}"))
    async with beside(collector, "return.max_bytes=5000", "return.compression=gzip") as sidecar:
        status, _, _ = await sidecar.post(
            sent.SerializeToString(), "/v1/logs", Content_Type=PROTOBUF
        )
    assert status == 200
    assert len(collector.requests) > 10
    assert all(len(body) < 5500 for _, body in collector.requests)
    seen = [
        (resource.resource.attributes[0].value.string_value, record.body.string_value.split()[0])
        for back in collector.taken
        for resource in back.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]
    assert seen == [(f"s{k}", f"{k}/{i}") for k in range(10) for i in range(50)]


async def test_one_part_that_fails_makes_the_client_come_back_with_all(
    collector: Collector,
) -> None:
    collector.answer = lambda body: (503 if b"last" in body else 200, b"")
    sent = request(*["x" * 1000] * 5, "last")
    async with beside(collector, "return.max_bytes=2500", "return.timeout_secs=0.5") as sidecar:
        status, _, _ = await sidecar.post(
            sent.SerializeToString(), "/v1/logs", Content_Type=PROTOBUF
        )
    assert status == 503
    assert 0 < len(collector.records) < 6


async def test_without_a_way_back_the_client_keeps_its_records() -> None:
    async with running("model.path=null") as sidecar:
        status, answer, headers = await sidecar.post(
            request("a").SerializeToString(), "/v1/logs", Content_Type=PROTOBUF
        )
        assert (status, Status.FromString(answer).message.partition(": ")[0]) == (
            503,
            "handback_no_return",
        )
        assert "Retry-After" in headers
        assert (
            sidecar.metric("waybill_batches_refused_total", ingest="otlp", reason="no_return") == 1
        )


@pytest.mark.parametrize("content_type", [PROTOBUF, "application/otlp+json"])
async def test_who_asks_for_the_body_gets_the_labelled_request(content_type: str) -> None:
    sent = request("User User1 logged in.")
    body = (
        sent.SerializeToString()
        if content_type == PROTOBUF
        else json_format.MessageToJson(sent).encode()
    )
    async with running("model.path=null") as sidecar:
        status, answer, headers = await sidecar.post(body, Content_Type=content_type)
    assert (status, headers["Content-Type"]) == (200, content_type)
    (record,) = records_of(read(answer, content_type))
    assert attributes(record)["target_label"] == "User Action"


async def test_otlp_goes_to_a_receiver_without_it_as_plain_records(collector: Collector) -> None:
    collector.answer = lambda body: (503 if b"poison" in body else 200, b"")
    overrides = (
        "return.type=http",
        f"return.url={collector.url}",
        "model.path=null",
        "return.timeout_secs=0.3",
    )
    async with running(*overrides) as sidecar:
        for message, expected in (("User User1 logged in.", 200), ("poison", 503)):
            body = request(message).SerializeToString()
            status, _, _ = await sidecar.post(body, "/v1/logs", Content_Type=PROTOBUF)
            assert status == expected
    headers, body = collector.requests[0]
    record = json.loads(body)
    assert headers["Content-Type"] == "application/x-ndjson"
    assert (record["log"], record["target_label"]) == ("User User1 logged in.", "User Action")
    assert (record["attributes"], record["resource"]) == ({"n": 0}, {"service.name": "api"})
    assert record["trace_id"] == bytes(range(16)).hex()
    assert b'"date":1795210000.123456789' in body


TIME = 1_795_210_000_123_456_789


async def test_fluent_events_become_log_records(collector: Collector) -> None:
    event = [
        [
            msgpack.ExtType(
                0, (TIME // 10**9).to_bytes(4, "big") + (TIME % 10**9).to_bytes(4, "big")
            ),
            {},
        ],
        {
            "log": "User User1 logged in.",
            "source": "api",
            "kubernetes": {"pod_name": "p"},
            "n": 2**63,
            "raw": b"\xff",
        },
    ]
    async with beside(collector) as sidecar:
        status, _, _ = await sidecar.post(
            msgpack.packb(event), Content_Type="application/msgpack", Fluent_Tag="kube.pod"
        )
    assert status == 204
    (record,) = collector.records
    found = attributes(record)
    assert (record.body.string_value, record.time_unix_nano) == ("User User1 logged in.", TIME)
    assert (found["target_label"], found["source"], found["n"], found["fluent.tag"]) == (
        "User Action",
        "api",
        str(2**63),
        "kube.pod",
    )
    assert found["kubernetes"].values[0].key == "pod_name"  # type: ignore[attr-defined]
    assert "log" not in found


async def test_json_records_become_log_records(collector: Collector) -> None:
    body = b'[{"date":"2026-11-20T19:26:40.123456789Z","message":"a","n":1.5,"t":true},7,{"log":"\\ud800"},{"log":%s}]'
    deep = b'{"log":' * 200 + b'"deep"' + b"}" * 200
    async with beside(collector) as sidecar:
        status, _, _ = await sidecar.post(body % deep)
    assert status == 204
    first, number, surrogate, nested = collector.records
    assert (first.body.string_value, first.time_unix_nano) == ("a", 1_795_202_800_123_456_789)
    assert (attributes(first)["n"], attributes(first)["t"]) == (1.5, True)
    assert number.body.string_value == "7"
    # A surrogate alone is not text: its value goes as it is spelt, and the record is a record.
    assert surrogate.body.string_value == "\\ud800"
    assert '"deep"' in nested.body.string_value
    assert all("target_label" in attributes(record) for record in collector.records)


async def test_what_fluent_bit_took_as_otlp_is_otlp_again(collector: Collector) -> None:
    def event(seconds: int, metadata: object, record: object) -> bytes:
        time = msgpack.ExtType(0, seconds.to_bytes(4, "big") + bytes(4))
        return bytes(msgpack.packb([[time, metadata], record]))

    group = {
        "resource": {"attributes": {"service.name": "api"}, "schema_url": ""},
        "scope": {"name": "lib", "version": "1", "attributes": {"a": "b"}},
    }
    members = {
        "severity_number": 9,
        "severity_text": "INFO",
        "trace_id": bytes(range(16)),
        "trace_flags": 1,
    }
    metadata = {"otlp": members | {"timestamp": TIME, "attributes": {"k": "v"}}, "more": {"x": 1}}
    body = event(0xFFFFFFFF, {"schema": "otlp", "resource_id": 0, "scope_id": 0}, group)
    body += event(1_795_210_000, metadata, {"log": "User User1 logged in."}) + event(
        0xFFFFFFFE, {}, {}
    )
    body += event(1_795_210_001, {}, {"log": "on its own"})
    async with beside(collector) as sidecar:
        status, _, _ = await sidecar.post(body, Content_Type="application/msgpack")
    assert status == 204
    (sent,) = collector.taken
    first, second = sent.resource_logs
    assert first.resource.attributes[0].value.string_value == "api"
    scope = first.scope_logs[0].scope
    assert (scope.name, scope.version, scope.attributes[0].key) == ("lib", "1", "a")
    (record,) = first.scope_logs[0].log_records
    assert (record.severity_number, record.severity_text, record.trace_id, record.flags) == (
        9,
        "INFO",
        bytes(range(16)),
        1,
    )
    found = attributes(record)
    assert (found["k"], found["target_label"]) == ("v", "User Action")
    assert found["fluent.metadata"].values[0].key == "more"  # type: ignore[attr-defined]
    assert second.scope_logs[0].log_records[0].body.string_value == "on its own"
