"""OTLP through a whole sidecar: a real SDK's exporter in, the request out again, answers as
specified.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from pathlib import Path

import pytest
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from tests.collector import JSON, PROTOBUF, Collector, attributes, read, records_of
from tests.conftest import running
from tests.e2e.otlp_rig import beside, request
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, Wire
from waybill.wire.compression import ENCODINGS, compress

pytestmark = pytest.mark.e2e

CAPTURE = Path(__file__).parent.parent / "data" / "captures" / "fluentbit_otlp.http"
ADDED = {"target_label", "label_tier", "label_confidence", "label_rule", "label_reason"}


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
            b"x",
            {"Content-Type": "application/grpc"},
            415,
            "unsupported_content_type",
            id="gRPC",
        ),
        pytest.param(b"", {"Content-Type": "application/protobuf"}, 200, None, id="its other name"),
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
