"""OTLP/HTTP ingest: ``POST /v1/logs``, in protobuf and in JSON, for the OpenTelemetry Collector and SDKs.

Answers are those of the OTLP specification: an ``ExportLogsServiceResponse`` or a ``google.rpc.Status`` in
the request's own encoding. 429 and 503 are what its clients send again, so not now is always 503. We take
all records of a request or none, hence no partial success: clients may never send again what it rejects.
"""

from __future__ import annotations

import orjson
from aiohttp import web

from waybill.core.errors import HandbackError, MalformedError
from waybill.flow.flow import Flow
from waybill.ingest.http import Handler, HttpIngest
from waybill.wire.otlp import OTLP_JSON, protobuf

PATH = "/v1/logs"
_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
#: HTTP status to google.rpc.Code: INVALID_ARGUMENT, UNAUTHENTICATED, RESOURCE_EXHAUSTED, UNAVAILABLE, ...
_CODES = {401: 16, 404: 5, 405: 12, 413: 8, 503: 14}
_INVALID_ARGUMENT = 3


class OtlpIngest:
    """The OTLP endpoint; reading, inflating and refusing are `HttpIngest`'s."""

    def __init__(self, ingest: HttpIngest, flow: Flow) -> None:
        self._ingest, self._flow = ingest, flow

    def add_routes(self, app: web.Application) -> None:
        """Add the route to ``app``, and the answers in OTLP's own words."""
        app.router.add_post(PATH, self.logs)
        app.middlewares.insert(0, _speak_otlp)

    async def logs(self, request: web.Request) -> web.Response:
        """One ``ExportLogsServiceRequest``."""
        content_type = request.content_type
        if content_type not in (_PROTOBUF, _JSON):
            self._flow.metrics.refused.labels("otlp", "unsupported_content_type").inc()
            raise MalformedError(
                "unsupported_content_type", f"{_PROTOBUF} or {_JSON}, not {content_type}"
            )
        if self._flow.handback.name == "body":
            # An OTLP answer has no room for records, and what is refused for good would be lost.
            self._flow.metrics.refused.labels("otlp", "no_return").inc()
            raise HandbackError(
                "no_return",
                "set return.type, or post OTLP to /v1/label to get it back in the answer",
            )
        with self._flow.inflight.hold() as grow:
            delivery = await self._ingest.receive(request, grow, "otlp")
            if content_type == _JSON:
                delivery.content_type = OTLP_JSON
            await self._flow.run(delivery, grow)
        return web.Response(
            body=b"" if content_type == _PROTOBUF else b"{}", content_type=content_type
        )


@web.middleware
async def _speak_otlp(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn the refusals of `PATH` into ``google.rpc.Status``; status and headers stay."""
    answer = await handler(request)
    if request.path != PATH or answer.status < 400 or not isinstance(answer, web.Response):
        return answer
    assert isinstance(answer.body, bytes)
    reason = orjson.loads(answer.body)["reason"]
    code = _CODES.get(answer.status, _INVALID_ARGUMENT)
    if request.content_type == _PROTOBUF:
        answer.body = protobuf.pack_number(1, code) + protobuf.pack_field(2, reason.encode())
        answer.content_type = _PROTOBUF
    else:
        answer.body = orjson.dumps({"code": code, "message": reason})
    return answer
