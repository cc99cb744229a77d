"""OTLP through a whole sidecar: a real SDK's exporter in, the request out again, answers as
specified.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgpack
import pytest
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from tests.collector import JSON, PROTOBUF, Collector, attributes, read, records_of
from tests.conftest import Sidecar, running
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, Wire
from waybill.wire.compression import ENCODINGS, compress

pytestmark = pytest.mark.e2e
CAPTURE = Path(__file__).parent.parent / "data" / "captures" / "fluentbit_otlp.http"
ADDED = {"target_label", "label_tier", "label_confidence", "label_rule", "label_reason"}


def beside(collector: Collector, *overrides: str) -> AbstractAsyncContextManager[Sidecar]:
    return running("return.type=otlp", f"return.url={collector.url}", "model.path=null", *overrides)


def request(*messages: str, service: str = "api") -> ExportLogsServiceRequest:
    made = ExportLogsServiceRequest()
    resource = made.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    scope = resource.scope_logs.add()
    for i, message in enumerate(messages):
        record = scope.log_records.add(
            time_unix_nano=1_795_210_000_123_456_789 + i, trace_id=bytes(range(16))
        )
        record.body.string_value = message
        record.attributes.add(key="n").value.int_value = i
    return made


@pytest.mark.parametrize(
    "compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate]
)
async def test_an_sdk_exporter_gets_its_records_through(
    collector: Collector, compression: Compression
) -> None:
    async with beside(collector) as sidecar:
        exporter = OTLPLogExporter(
            endpoint=sidecar.service.address + "/v1/logs", compression=compression, timeout=5
        )

        def work() -> None:
            provider = LoggerProvider(
                Resource.create({"service.name": "ModernCRM"}), shutdown_on_exit=False
            )
            provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
            for i in range(3):
                provider.get_logger("app").emit(
                    body=f"User User{i} logged in.", severity_text="WARN"
                )
            provider.shutdown()

        await asyncio.to_thread(work)
    assert [record.body.string_value for record in collector.records] == [
        f"User User{i} logged in." for i in range(3)
    ]
    for sent in collector.taken:
        (resource,) = sent.resource_logs
        assert {pair.key: pair.value.string_value for pair in resource.resource.attributes}[
            "service.name"
        ] == "ModernCRM"
        assert resource.scope_logs[0].scope.name == "app"
    for record in collector.records:
        found = attributes(record)
        assert (found["target_label"], found["label_rule"]) == ("User Action", "user-login-logout")
        assert found["label_confidence"] == 1.0
        assert record.severity_text == "WARN"


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
@pytest.mark.parametrize("encoding", ["none", *ENCODINGS])
async def test_both_forms_in_every_encoding(
    collector: Collector, content_type: str, encoding: str
) -> None:
    sent = request("User User1 logged in.", "no such thing")
    body = (
        sent.SerializeToString()
        if content_type == PROTOBUF
        else json_format.MessageToJson(sent).encode()
    )
    headers = {"Content-Type": content_type} | (
        {"Content-Encoding": encoding} if encoding != "none" else {}
    )
    async with beside(collector) as sidecar:
        status, answer, replied = await sidecar.post(
            compress(body, encoding), "/v1/logs", **headers
        )
    assert (status, replied["Content-Type"].split(";")[0]) == (200, content_type)
    assert answer == (b"" if content_type == PROTOBUF else b"{}")
    ((got, _),) = collector.requests
    assert got["Content-Type"] == content_type
    (back,) = collector.taken
    for record in records_of(back):
        kept = [pair for pair in record.attributes if pair.key not in ADDED]
        assert "target_label" in attributes(record)
        del record.attributes[:]
        record.attributes.extend(kept)
    assert back == sent


async def test_a_real_request_goes_on_whole_but_for_the_record_that_is_no_utf8(
    collector: Collector,
) -> None:
    """Fluent Bit sends bytes that are no text as a string, which strict receivers refuse with all
    its neighbours.
    """
    head, _, body = CAPTURE.read_bytes().partition(b"\r\n\r\n")
    assert b"Content-Encoding" not in head

    def refuse_what_cannot_be_read(body: bytes) -> tuple[int, bytes]:
        try:
            read(body, PROTOBUF)
        except DecodeError:
            return 400, b""
        return 200, b""

    collector.answer = refuse_what_cannot_be_read
    async with beside(collector) as sidecar:
        status, _, _ = await sidecar.post(body, "/v1/logs", Content_Type=PROTOBUF)
    assert status == 200
    batch = Wire(FieldPlan(FieldSettings())).otlp.decode(body)
    assert len(collector.records) == len(batch) > 5
    as_text = 0
    for original, record in zip(map(batch.data, range(len(batch))), collector.records, strict=True):
        found = attributes(record)
        if "raw_base64" in found:
            assert base64.b64decode(str(found["raw_base64"])).startswith(original)
            as_text += 1
            continue
        names = [pair.key for pair in record.attributes]
        assert set(names[names.index("target_label") :]) <= ADDED
        del record.attributes[names.index("target_label") :]
        assert record == LogRecord.FromString(original)
    assert as_text == 1


@pytest.mark.parametrize(
    ("body", "headers", "status", "reason"),
    [
        pytest.param(b"", {}, 200, None, id="empty request"),
        pytest.param(b"hello", {}, 400, "not_otlp", id="no protobuf"),
        pytest.param(b"[]", {"Content-Type": JSON}, 400, "not_otlp", id="no object"),
        pytest.param(b"{}", {"Content-Type": JSON}, 200, None, id="empty JSON request"),
        pytest.param(b'{"resourceSpans":[]}', {"Content-Type": JSON}, 400, "not_otlp", id="traces"),
        pytest.param(
            gzip.compress(b"x")[:-2],
            {"Content-Encoding": "gzip"},
            400,
            "truncated_gzip",
            id="cut gzip",
        ),
        pytest.param(
            b"x", {"Content-Type": "text/plain"}, 415, "unsupported_content_type", id="neither form"
        ),
        pytest.param(
            b"x", {"Content-Encoding": "br"}, 415, "unsupported_encoding", id="unknown encoding"
        ),
        pytest.param(b"x" * 1001, {}, 413, "too_large", id="too large"),
    ],
)
async def test_refusals_are_statuses_in_the_encoding_of_the_request(
    collector: Collector, body: bytes, headers: dict[str, str], status: int, reason: str | None
) -> None:
    async with beside(collector, "limits.body_bytes=1000") as sidecar:
        got, answer, replied = await sidecar.post(
            body, "/v1/logs", **({"Content-Type": PROTOBUF} | headers)
        )
    content_type = replied["Content-Type"].split(";")[0]
    assert got == status
    if reason is None:
        assert (
            ExportLogsServiceResponse.FromString(answer if content_type == PROTOBUF else b"")
            is not None
        )
        return
    is_protobuf = headers.get("Content-Type", PROTOBUF) == PROTOBUF
    assert content_type == (PROTOBUF if is_protobuf else JSON)
    told = Status.FromString(answer) if is_protobuf else json_format.Parse(answer, Status())
    assert told.message.partition(": ")[0] == reason
    assert told.code == (8 if status == 413 else 3)


async def test_who_has_no_token_or_another_method_hears_it_in_otlps_words(
    collector: Collector, tmp_path: Path
) -> None:
    (tmp_path / "tokens").write_text("secret\n")
    async with beside(collector, f"http.tokens_file={tmp_path}/tokens") as sidecar:
        status, answer, headers = await sidecar.post(b"", "/v1/logs", Content_Type=PROTOBUF)
        assert (status, Status.FromString(answer).code) == (401, 16)
        assert headers["WWW-Authenticate"] == "Bearer"
        status, answer = await sidecar.get("/v1/logs", headers={"Authorization": "Bearer secret"})
        assert (status, json.loads(answer)["code"]) == (405, 12)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 401, 404])
async def test_a_receiver_in_trouble_makes_the_client_come_back(
    collector: Collector, status: int
) -> None:
    collector.answer = lambda body: (status, b"")
    body = request("a").SerializeToString()
    async with beside(collector, "return.timeout_secs=0.3") as sidecar:
        got, answer, headers = await sidecar.post(body, "/v1/logs", Content_Type=PROTOBUF)
    assert (got, headers["Retry-After"]) == (503, "1")
    assert Status.FromString(answer).code == 14


async def test_a_receiver_that_is_not_there_makes_the_client_come_back(
    collector: Collector,
) -> None:
    async with running(
        "return.type=otlp", "return.url=http://127.0.0.1:1/v1/logs", "return.timeout_secs=0.3"
    ) as sidecar:
        got, answer, _ = await sidecar.post(
            request("a").SerializeToString(), "/v1/logs", Content_Type=PROTOBUF
        )
    assert (got, Status.FromString(answer).message.partition(": ")[0]) == (503, "handback_connect")


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
async def test_a_partial_success_is_counted_and_never_sent_again(
    collector: Collector, content_type: str
) -> None:
    response = ExportLogsServiceResponse()
    response.partial_success.rejected_log_records = 2
    response.partial_success.error_message = "too old"
    sent = request("a", "b", "c")
    if content_type == PROTOBUF:
        collector.answer = lambda body: (200, response.SerializeToString())
        body = sent.SerializeToString()
    else:
        collector.answer = lambda body: (200, json_format.MessageToJson(response).encode())
        body = json_format.MessageToJson(sent).encode()
    async with beside(collector) as sidecar:
        status, answer, _ = await sidecar.post(body, "/v1/logs", Content_Type=content_type)
        assert sidecar.metric("waybill_records_rejected_total", handback="otlp") == 2
    assert (status, answer) == (200, b"" if content_type == PROTOBUF else b"{}")
    assert len(collector.requests) == 1


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
async def test_the_record_that_a_receiver_refuses_goes_as_text_and_the_others_as_they_are(
    collector: Collector, content_type: str
) -> None:
    def refuse_poison(body: bytes) -> tuple[int, bytes]:
        found = records_of(read(body, content_type))
        return (
            400
            if any(record.body.string_value == "poison" and record.trace_id for record in found)
            else 200
        ), b""

    collector.answer = refuse_poison
    sent = request(*(f"m{i}" if i != 5 else "poison" for i in range(8)))
    body = (
        sent.SerializeToString()
        if content_type == PROTOBUF
        else json_format.MessageToJson(sent).encode()
    )
    async with beside(collector) as sidecar:
        status, _, _ = await sidecar.post(body, "/v1/logs", Content_Type=content_type)
    assert status == 200
    whole = [record.body.string_value for record in collector.records if record.trace_id]
    (wrapped,) = (record for record in collector.records if not record.trace_id)
    assert whole == [f"m{i}" for i in range(8) if i != 5]
    assert "poison" in wrapped.body.string_value
    assert "target_label" in attributes(wrapped)
    if content_type == PROTOBUF:
        original = LogRecord.FromString(base64.b64decode(str(attributes(wrapped)["raw_base64"])))
        assert (original.body.string_value, original.trace_id) == ("poison", bytes(range(16)))


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
    # A surrogate alone is no text: its value goes as it is spelt, and the record is a record.
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
