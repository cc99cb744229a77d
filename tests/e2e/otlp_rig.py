"""What these tests share."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
)

from tests.collector import Collector
from tests.conftest import Sidecar, running


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
