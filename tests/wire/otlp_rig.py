"""What these tests share."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, OtlpCodec, OtlpJsonCodec, Wire

WIRE = Wire(FieldPlan(FieldSettings()))
VERDICT = Verdict("Error", "model", 0.75, "m@1")
OURS = {
    "target_label": "Error",
    "label_tier": "model",
    "label_confidence": 0.75,
    "label_rule": "m@1",
}
Codec = OtlpCodec | OtlpJsonCodec
BOTH = pytest.mark.parametrize("codec", [WIRE.otlp, WIRE.otlp_json], ids=["protobuf", "json"])


def encode(codec: Codec, request: ExportLogsServiceRequest) -> bytes:
    if codec is WIRE.otlp:
        data: bytes = request.SerializeToString()
        return data
    text: str = json_format.MessageToJson(request)
    return text.encode()


def one_record(**members: Any) -> bytes:
    record = LogRecord(**members)
    scope = ScopeLogs(log_records=[record])
    request = ExportLogsServiceRequest(resource_logs=[ResourceLogs(scope_logs=[scope])])
    data: bytes = request.SerializeToString()
    return data


def text(value: str) -> AnyValue:
    return AnyValue(string_value=value)


def attribute(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=text(value))


def labelled(codec: Codec, body: bytes) -> bytes:
    batch = codec.decode(body)
    return codec.splice(batch, [VERDICT] * len(batch))
