"""OTLP/HTTP: ``POST /v1/logs``, in protobuf and in JSON, for the OpenTelemetry Collector and SDKs.

Answers are those of the OTLP specification: an ``ExportLogsServiceResponse`` or a
``google.rpc.Status`` in the request's own encoding. 429 and 503 are what its clients send again, so
not now is always 503. We take all records of a request or none, hence no partial success: clients
may never send again what it rejects.
"""

from __future__ import annotations

import orjson
from aiohttp import web

from waybill.core.errors import HandbackError, MalformedError
from waybill.ingest.http.bodies import BodyReader
from waybill.ingest.http.errors import OTLP_PATH
from waybill.ingest.http.guard import Handler
from waybill.ingest.listener import Intake
from waybill.wire.otlp import OTLP_JSON, protobuf

_PROTOBUF = "application/x-protobuf"
#: Other names of the same.
_PROTOBUFS = (_PROTOBUF, "application/protobuf", "application/vnd.google.protobuf")
_JSON = "application/json"
#: HTTP status to google.rpc.Code: UNAUTHENTICATED, NOT_FOUND, UNIMPLEMENTED, RESOURCE_EXHAUSTED,
#: UNAVAILABLE; what is not here is INVALID_ARGUMENT.
_CODES = {401: 16, 404: 5, 405: 12, 413: 8, 503: 14}
_INVALID_ARGUMENT = 3


def routes(intake: Intake, reader: BodyReader, *, has_return: bool) -> list[web.RouteDef]:
    """The endpoint; ``has_return`` says that batches are pushed to a receiver."""

    async def logs(request: web.Request) -> web.Response:
        """One ``ExportLogsServiceRequest``."""
        content_type = request.content_type
        if content_type not in (*_PROTOBUFS, _JSON):
            wrong = f"{_PROTOBUF} or {_JSON}, not {content_type}"
            if content_type.startswith("application/grpc"):
                wrong = "OTLP over gRPC is not taken: let the sender use OTLP over HTTP"
            raise MalformedError("unsupported_content_type", wrong)
        if not has_return:
            # An OTLP answer has no room for records, and what is refused for good would be lost.
            raise HandbackError("no_return")
        with intake.hold() as grow:
            delivery = await reader.receive(request, grow, "otlp")
            if content_type == _JSON:
                delivery.content_type = OTLP_JSON
            await intake.run(delivery, grow)
        body = b"{}" if content_type == _JSON else b""
        return web.Response(body=body, content_type=content_type)

    return [web.post(OTLP_PATH, logs)]


@web.middleware
async def speak_otlp(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn the refusals of `OTLP_PATH` into ``google.rpc.Status``; status and headers stay."""
    answer = await handler(request)
    is_refusal = isinstance(answer, web.Response) and answer.status >= 400
    if not is_refusal or request.path.rstrip("/") != OTLP_PATH:
        return answer
    assert isinstance(answer, web.Response)
    assert isinstance(answer.body, bytes)
    said = orjson.loads(answer.body)
    message = f"{said['reason']}: {said['detail']}"
    code = _CODES.get(answer.status, _INVALID_ARGUMENT)
    if request.content_type in _PROTOBUFS:
        answer.body = protobuf.pack_number(1, code) + protobuf.pack_field(2, message.encode())
        answer.content_type = request.content_type
    else:
        answer.body = orjson.dumps({"code": code, "message": message})
    return answer
