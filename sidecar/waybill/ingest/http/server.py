"""The HTTP listener: one aiohttp application behind our own limits.

socket -> Entrance (too many, TLS) -> Guard (too slow) -> aiohttp -> Refusals -> Access -> handler
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from http import HTTPStatus

from aiohttp import http_parser, web
from aiohttp.abc import AbstractAccessLogger

from waybill.core.errors import ConfigError
from waybill.core.reasons import RequestCode
from waybill.ingest.connections import Connections
from waybill.ingest.entrance import Entrance
from waybill.ingest.http.access import Access
from waybill.ingest.http.errors import Refusals, about, door_of
from waybill.ingest.http.guard import Guard, Guards, Handler
from waybill.ingest.http.otlp import speak_otlp
from waybill.ingest.http.paths import find_batches
from waybill.ingest.http.sentences import sentence
from waybill.ingest.http.writing import Writing
from waybill.ingest.listener import CountRefusal, Intake
from waybill.ops.expectations import Refused, answer_ourselves
from waybill.ops.tls import ServerTls
from waybill.ops.tokens import Tokens
from waybill.settings.addresses import bracketed, cannot_listen, split_address
from waybill.settings.schema import HttpSettings
from waybill.wire.strangers import advice

log = logging.getLogger(__name__)
_BACKLOG = 1024


class HttpServer:
    """Serves ``routes``; `waybill.flow.flow.Flow.drain` refuses batches before it stops."""

    def __init__(
        self,
        settings: HttpSettings,
        routes: Sequence[web.RouteDef],
        connections: Connections,
        intake: Intake,
        tokens: Tokens | None = None,
        tls: ServerTls | None = None,
        *,
        shares_address: bool = False,
    ) -> None:
        self.routes = tuple(routes)
        self.addresses: list[str] = []
        self._settings = settings
        self._tls = tls
        self._shares_address = shares_address
        self._connections = connections
        self._guards: Guards | None = None
        self._entrance: Entrance | None = None
        self._server: asyncio.Server | None = None
        app = self._application(intake, tokens)
        self._runner = web.AppRunner(
            app,
            access_log=log,
            access_log_class=_protocol_faults(intake.refused, self._first_bytes),
            auto_decompress=False,  # inflated by wire.compression, to a verified end
            keepalive_timeout=settings.keepalive_secs,
            shutdown_timeout=1.0,  # the flow is drained before the runner stops
        )

    def _application(self, intake: Intake, tokens: Tokens | None) -> web.Application:
        refusals = Refusals(intake.refused, sorted({canonical(one.path) for one in self.routes}))
        secs = self._settings.read_timeout_secs
        app = web.Application(
            middlewares=[
                self._note_handling,
                speak_otlp,
                refusals.middleware,
                Access(tokens).middleware,
                Writing(intake.hold, secs, intake.body_bytes).middleware,
            ],
            client_max_size=0,  # bodies are bounded where they are read
        )
        for route in self.routes:
            _add(app, route)
        app.on_response_prepare.append(_hide_versions)
        return app

    async def start(self) -> None:
        """Listen. Raises ConfigError."""
        if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
            # The one in Python is slower, and several ways to smuggle requests were found in it
            # alone.
            missing = "aiohttp: its compiled parser is missing; unset AIOHTTP_NO_EXTENSIONS"
            raise ConfigError([missing])
        await self._runner.setup()
        make = self._runner.server
        assert make is not None
        answer_ourselves(self._runner)
        find_batches(make)
        settings = self._settings
        self._guards = Guards(make, settings.header_timeout_secs, settings.keepalive_secs)
        self._entrance = Entrance(
            "http",
            self._connections,
            self._guards.protocol,
            self._tls,
            settings.header_timeout_secs,
        )
        try:
            self._server = await self._listen(self._entrance)
        except OSError as error:
            raise ConfigError([cannot_listen("http.listen", settings.listen, error)]) from None
        host, port = self._server.sockets[0].getsockname()[:2]
        scheme = "https" if self._tls is not None else "http"
        self.addresses.append(f"{scheme}://{bracketed(host)}:{port}")

    async def _listen(self, entrance: Entrance) -> asyncio.Server:
        host, port = split_address(self._settings.listen)
        return await asyncio.get_running_loop().create_server(
            entrance.protocol, host, port, backlog=_BACKLOG, reuse_port=self._shares_address
        )

    def pause(self) -> None:
        """Nothing to do: while the flow drains, every request is answered, batches with 503."""

    async def stop(self) -> None:
        """Close the sockets and every connection."""
        if self._server is not None:
            self._server.close()
        if self._entrance is not None:
            self._entrance.close()
        await self._runner.cleanup()
        self.addresses.clear()

    def _first_bytes(self, request: web.BaseRequest) -> bytes:
        """How a request begins, where that is known."""
        guard = self._guard(request)
        return guard.first if guard is not None else b""

    def _guard(self, request: web.BaseRequest) -> Guard | None:
        if self._guards is None or request.transport is None:
            return None
        return self._guards.by_transport.get(request.transport)

    @web.middleware
    async def _note_handling(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Tell the guard of a request's connection that its header is whole."""
        guard = self._guard(request)
        if guard is None:
            return await handler(request)
        guard.begin()
        try:
            return await handler(request)
        finally:
            guard.end()


def canonical(path: str) -> str:
    """A route's path as people read it: ``{tag}``, without the pattern of the tag."""
    return re.sub(r":[^:}]*}", "}", path)


def _add(app: web.Application, route: web.RouteDef) -> None:
    """Serve a route at its path, and at the same with a slash at its end."""
    route.register(app.router)
    if not route.path.endswith("}"):
        web.RouteDef(route.method, f"{route.path}/", route.handler, route.kwargs).register(
            app.router
        )


async def _hide_versions(_: web.Request, response: web.StreamResponse) -> None:
    """Answer without the versions of Python and aiohttp."""
    response.headers["Server"] = "waybill"


def _protocol_faults(
    count_refusal: CountRefusal, first_bytes: Callable[[web.BaseRequest], bytes]
) -> type[AbstractAccessLogger]:
    """A logger that writes down only what aiohttp refuses by itself, before any middleware."""

    class ProtocolFaults(AbstractAccessLogger):
        def log(self, request: web.BaseRequest, response: web.StreamResponse, _: float) -> None:
            if not isinstance(response, Refused):
                return
            reason: RequestCode = "bad_request"
            if response.status == HTTPStatus.EXPECTATION_FAILED:
                reason = "expectation_failed"
            count_refusal(door_of(request, reason), reason)
            detail = advice(first_bytes(request), "http") or sentence(reason)
            fields = {"reason": reason, "status": response.status, "detail": detail}
            log.warning("a request was refused", extra={**fields, **about(request)})

    return ProtocolFaults
