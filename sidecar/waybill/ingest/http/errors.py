"""What a request that fails is told, and where that is written down.

What we answer is an order to the shipper, so the set is closed: 503 with Retry-After when not now,
400, 413 or 415 when never, 401 without a valid token, 403 with one for other things, 404 and 405
where nothing is served. 500, 501, 408 and 3xx are never sent. Every answer is ``{"reason": <word>,
"detail": <sentence>}``; every one of them is counted under its reason, and logged but for overload,
which would write a line for each try.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from waybill.core.errors import HandbackError, MalformedError, OverloadedError, WaybillError
from waybill.core.names import Door
from waybill.core.near import closest
from waybill.core.reasons import MalformedCode, RefusalReason
from waybill.ingest.connections import client_of
from waybill.ingest.http.guard import Handler
from waybill.ingest.http.sentences import sentence
from waybill.ingest.listener import CountRefusal

log = logging.getLogger(__name__)
LABEL_PATH = "/v1/label"
OTLP_PATH = "/v1/logs"
#: Of a path that nobody serves so much goes into the log and the answer.
_PATH_CHARS = 200


_TO_LABEL = "let the sender use its output for HTTP, with JSON to /v1/label"
#: Paths of other receivers, in small letters, and what to do who sends there.
_OF_OTHERS = (
    (re.compile(r"^/loki/api/"), f"this is no Loki: {_TO_LABEL}"),
    (re.compile(r"/_(bulk|doc|create)$"), f"this is no Elasticsearch: {_TO_LABEL}"),
    (re.compile(r"^/services/collector"), f"this is no Splunk: {_TO_LABEL}"),
    (re.compile(r"^/(api/v2|v1/input)/"), f"this is no Datadog: {_TO_LABEL}"),
    (re.compile(r"^/insert/|/_json$|^/gelf$"), _TO_LABEL),
    (re.compile(r"^/v1/(traces|metrics)$"), "only logs are taken, at /v1/logs"),
    (re.compile(r"^/opentelemetry\.proto\."), "let the sender use OTLP over HTTP to /v1/logs"),
)


class UnauthorisedError(WaybillError):
    """A request without a valid token; ``detail`` says what it has instead. HTTP 401."""

    code = "unauthorised"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class OutOfScopeError(WaybillError):
    """A request that its token does not open. HTTP 403."""

    code = "out_of_scope"


class CrossSiteError(WaybillError):
    """A request that a web page of another site made a browser send. HTTP 403."""

    code = "cross_site"


@dataclass(slots=True)
class Problem:
    """One answer: its status, its words, and the reason that it is counted under."""

    status: int
    reason: str
    detail: str
    counted: RefusalReason
    headers: dict[str, str] = field(default_factory=dict)
    paths: Sequence[str] = ()

    def answer(self) -> web.Response:
        """The answer itself."""
        body: dict[str, object] = {"reason": self.reason, "detail": self.detail}
        if self.paths:
            body["paths"] = list(self.paths)
        return web.Response(
            status=self.status,
            body=orjson.dumps(body),
            content_type="application/json",
            headers=self.headers,
        )


class Refusals:
    """The middleware that turns errors into answers; ``count`` counts them, ``paths`` are ours."""

    def __init__(self, count: CountRefusal, paths: Sequence[str] = ()) -> None:
        self._count = count
        self._paths = paths

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, whatever its handler raises."""
        try:
            return await handler(request)
        except (WaybillError, web.HTTPException) as error:
            problem = self._problem(request, error)
            if problem is None:
                raise
            _log(request, error, problem)
        except Exception as error:
            if isinstance(error, ConnectionError) and _is_gone(request):
                error.__traceback__ = None  # the stream keeps its error, and so the body
                return web.Response()  # nobody gets it; raised, it would be a 500 in the log
            # The last net: the batch is not lost and not condemned, the shipper comes back with it.
            log.exception("a request failed in an unforeseen way")
            problem = _later("internal", "internal", 5)
        self._count(door_of(request, problem.counted), problem.counted)
        if request.writer.output_size:
            # A second head would read as part of the body: a broken connection says it all.
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the answer cannot be finished")
        return problem.answer()

    def _problem(self, request: web.Request, error: Exception) -> Problem | None:
        match error:
            case MalformedError():
                detail = error.detail or sentence(error.code)
                return Problem(status_of(error.code), error.code, detail, error.code)
            case OverloadedError():
                return _overloaded(error)
            case HandbackError():
                problem = _later(f"handback_{error.code}", error.code, 1)
                problem.detail = error.detail or problem.detail
                return problem
            case UnauthorisedError():
                headers = {"WWW-Authenticate": "Bearer"}
                return Problem(401, "unauthorised", error.detail, "unauthorised", headers)
            case CrossSiteError():
                return Problem(403, "cross_site", sentence("cross_site"), "cross_site")
            case OutOfScopeError():
                return Problem(403, "out_of_scope", sentence("out_of_scope"), "out_of_scope")
            case web.HTTPException():
                return self._unserved(request, error)
            case _:
                return None

    def _unserved(self, request: web.Request, error: web.HTTPException) -> Problem | None:
        """What aiohttp itself has to say of a request."""
        if isinstance(error, web.HTTPNotFound):
            return self._not_found(request)
        if isinstance(error, web.HTTPMethodNotAllowed):
            return _not_allowed(request, error)
        if 400 <= error.status < 500 and error.status != 408:
            return Problem(error.status, "bad_request", error.reason, "bad_request")
        return None

    def _not_found(self, request: web.Request) -> Problem:
        asked = request.path[:_PATH_CHARS]
        detail = f"nothing is served at {asked}; see paths"
        meant = re.sub("/+", "/", request.path).rstrip("/").lower()
        path = closest(meant, self._paths, cutoff=0.8)
        if path is not None:
            detail = f"nothing is served at {asked}; send to {path}"
        for other, told in _OF_OTHERS:
            if other.search(meant):
                detail = f"nothing is served at {asked}; {told}"
        return Problem(404, "not_found", detail, "not_found", paths=self._paths)


def _overloaded(error: OverloadedError) -> Problem:
    problem = _later(error.code, error.code, error.retry_after_secs)
    if error.code == "slow_body":
        problem.headers["Connection"] = "close"
    return problem


def _not_allowed(request: web.Request, error: web.HTTPMethodNotAllowed) -> Problem:
    allowed = ", ".join(sorted(error.allowed_methods))
    detail = f"{request.method} is not allowed at {request.path[:_PATH_CHARS]}, only {allowed}"
    headers = {"Allow": error.headers["Allow"]}
    return Problem(405, "method_not_allowed", detail, "method_not_allowed", headers)


def _later(reason: str, counted: RefusalReason, secs: int) -> Problem:
    return Problem(503, reason, sentence(counted), counted, {"Retry-After": str(secs)})


def status_of(code: MalformedCode) -> int:
    """What a body that can never be read is answered with."""
    if code in ("too_large", "too_many_records"):
        return 413
    if code in ("unsupported_encoding", "unsupported_content_type"):
        return 415
    return 400


def door_of(request: web.BaseRequest, reason: RefusalReason) -> Door:
    """Where a request came in. What is posted to an unknown path was meant to be a batch."""
    path = request.path.rstrip("/")
    if path == OTLP_PATH:
        return "otlp"
    if path == LABEL_PATH or path.startswith(f"{LABEL_PATH}/"):
        return "http"
    if reason == "not_found" and request.method in ("POST", "PUT"):
        return "http"
    return "api"


def about(request: web.BaseRequest) -> Mapping[str, object]:
    """Who asked for what, for the log; nothing of the query or the body."""
    peer = client_of(request.transport) if request.transport is not None else ""
    return {"method": request.method, "path": request.path[:_PATH_CHARS], "peer": peer}


def _log(request: web.Request, error: Exception, problem: Problem) -> None:
    fields = {"reason": problem.counted, "detail": problem.detail, **about(request)}
    if isinstance(error, MalformedError):
        log.warning("a body was refused", extra={**fields, "kept": error.is_kept})
    elif isinstance(error, HandbackError):
        log.warning("records could not be handed back", extra=fields)
    elif not isinstance(error, OverloadedError):
        log.warning("a request was refused", extra={**fields, "status": problem.status})


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()
