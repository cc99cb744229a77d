"""A stand-in for an OpenTelemetry Collector: an OTLP/HTTP receiver that keeps what it was sent."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from waybill.wire.compression import decompress, encodings_of

PROTOBUF, JSON = "application/x-protobuf", "application/json"


class Collector:
    """An OTLP receiver that answers what it is told to and keeps what it was sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answer: Callable[[bytes], tuple[int, bytes]] = lambda body: (200, b"")
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        if encoding := request.headers.get("Content-Encoding"):
            body = decompress(body, encodings_of(encoding), 1 << 26)
        self.requests.append((dict(request.headers), body))
        status, answer = self.answer(body)
        return web.Response(status=status, body=answer, content_type=request.content_type)

    @property
    def taken(self) -> list[ExportLogsServiceRequest]:
        """The requests that were answered 200."""
        return [
            read(body, headers["Content-Type"])
            for headers, body in self.requests
            if self.answer(body)[0] == 200
        ]

    @property
    def records(self) -> list[LogRecord]:
        return [record for request in self.taken for record in records_of(request)]


def read(body: bytes, content_type: str) -> ExportLogsServiceRequest:
    if content_type == PROTOBUF:
        request = ExportLogsServiceRequest()
        request.ParseFromString(body)
        return request
    parsed: ExportLogsServiceRequest = json_format.Parse(body, ExportLogsServiceRequest())
    return parsed


def records_of(request: ExportLogsServiceRequest) -> list[LogRecord]:
    return [
        record
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def attributes(record: LogRecord) -> dict[str, object]:
    pairs = ((pair.key, pair.value) for pair in record.attributes)
    return {
        key: getattr(value, value.WhichOneof("value") or "string_value") for key, value in pairs
    }
