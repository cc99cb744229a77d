"""HTTP ingest: batches from Fluent Bit's ``out_http``, Vector's ``http`` sink, and anyone with curl.

What we answer is an order to the shipper, so the set is closed: 200 or 204 when the records are
where they belong, 503 with Retry-After when not now, 400, 413 or 415 when never, 401 without a
valid token. 500, 501, 408 and 3xx are never sent.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import orjson
from aiohttp import web

from waybill.core.errors import HandbackError, MalformedError, OverloadedError
from waybill.core.names import Ingest
from waybill.core.reasons import MalformedCode
from waybill.flow.delivery import Delivery
from waybill.flow.flow import Flow
from waybill.ingest.connections import note_handling
from waybill.ops.auth import Tokens
from waybill.settings.schema import HttpSettings
from waybill.wire.compression import accepted_encoding, compress, encodings_of

log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_TAG_HEADERS = ("X-Waybill-Tag", "Fluent-Tag", "X-Fluent-Tag")
_TAG = re.compile(r"[A-Za-z0-9_.*-]{1,255}")
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.*-]")
_INLINE_BYTES = 256 << 10
#: Paths that answer without a token: probes and scrapers have none.
_OPEN_PATHS = frozenset(("/healthz", "/readyz", "/metrics"))


class HttpIngest:
    """The ``/v1/label`` endpoint and the rules that hold for every request."""

    def __init__(self, settings: HttpSettings, flow: Flow, tokens: Tokens | None) -> None:
        self._settings, self._flow, self._tokens = settings, flow, tokens

    def application(self) -> web.Application:
        """An aiohttp application with our routes; more can be added to its router."""
        app = web.Application(
            middlewares=[note_handling, self._map_errors, self._authorise], client_max_size=0
        )
        for path in ("/v1/label", "/v1/label/{tag:.+}"):
            app.router.add_get(path, _ok, allow_head=True)
            app.router.add_post(path, self.label)
            app.router.add_put(path, self.label)
        return app

    async def label(self, request: web.Request) -> web.Response:
        """One batch."""
        with self._flow.inflight.hold() as grow:
            delivery = await self.receive(request, grow)
            answer = await self._flow.run(delivery, grow)
        if answer is None:
            return web.Response(status=204)
        return await _encoded(request, answer)

    async def receive(
        self, request: web.Request, grow: Callable[[int], None], ingest: Ingest = "http"
    ) -> Delivery:
        """The request's body, not inflated yet. Raises as `read_body`, or ``unsupported_encoding``."""
        try:
            encodings = encodings_of(request.headers.get("Content-Encoding"))
            body = await self.read_body(request, grow)
        except (MalformedError, OverloadedError) as error:
            self._flow.metrics.refused.labels(ingest, error.code).inc()
            raise
        content_type = request.headers.get("Content-Type", "").lower()
        return Delivery(body, ingest, content_type, encodings, _tag_of(request))

    async def read_body(self, request: web.Request, grow: Callable[[int], None]) -> bytes:
        """The body as sent, within the read deadline and the size limit.

        Raises:
            MalformedError: ``too_large``.
            OverloadedError: ``slow_body`` past ``http.read_timeout_secs``, or too much in flight.
        """
        limit = self._flow.limits.body_bytes
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._settings.read_timeout_secs):
                if (request.content_length or 0) > limit:
                    await self._refuse_large(request, [])
                async for chunk in request.content.iter_any():
                    size += len(chunk)
                    if size > limit:
                        await self._refuse_large(request, [*chunks, chunk])
                    grow(len(chunk))
                    chunks.append(chunk)
        except TimeoutError:
            # 408 would be the word for it, but OTLP clients take 408 for final.
            raise OverloadedError("slow_body") from None
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _refuse_large(self, request: web.Request, read: list[bytes]) -> None:
        """Offer a body past the limit to the dead-letter folder as it comes. Raises MalformedError."""

        async def pieces() -> AsyncIterator[bytes]:
            for chunk in read:
                yield chunk
            async for chunk in request.content.iter_any():
                yield chunk

        error = MalformedError("too_large", f"more than {self._flow.limits.body_bytes} bytes")
        error.is_kept = await self._flow.dead_letters.keep_stream(pieces(), error.code)
        raise error

    @web.middleware
    async def _authorise(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._tokens is None or request.path in _OPEN_PATHS:
            return await handler(request)
        if self._tokens.accept(request.headers.get("Authorization")):
            return await handler(request)
        self._flow.metrics.refused.labels("http", "unauthorised").inc()
        return _problem(401, "unauthorised", {"WWW-Authenticate": "Bearer"})

    @web.middleware
    async def _map_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except MalformedError as error:
            log.warning("a body was refused", extra={"reason": error.code, "kept": error.is_kept})
            return _problem(_status(error.code), error.code)
        except OverloadedError as error:
            headers = {"Retry-After": str(error.retry_after_secs)}
            if error.code == "slow_body":
                headers["Connection"] = "close"
            return _problem(503, error.code, headers)
        except HandbackError as error:
            log.warning(
                "records could not be handed back",
                extra={"reason": error.code, "detail": error.detail},
            )
            return _problem(503, f"handback_{error.code}", {"Retry-After": "1"})
        except web.HTTPException as error:
            if error.status < 500 and error.status >= 400 and error.status != 408:
                return _problem(error.status, error.reason.lower().replace(" ", "_"), _allow(error))
            raise
        except Exception as error:
            if isinstance(error, ConnectionError) and (
                request.transport is None or request.transport.is_closing()
            ):
                raise  # the client is gone: there is nobody to answer
            # The last net: the batch is not lost and not condemned, the shipper comes back with it.
            log.exception("a request failed in a way that nobody foresaw")
            self._flow.metrics.refused.labels("http", "internal").inc()
            return _problem(503, "internal", {"Retry-After": "5"})


def _status(code: MalformedCode) -> int:
    """What a body that can never be read is answered with."""
    if code in ("too_large", "too_many_records"):
        return 413
    if code in ("unsupported_encoding", "unsupported_content_type"):
        return 415
    return 400


async def _ok(_: web.Request) -> web.Response:
    return web.Response(status=200)


def _tag_of(request: web.Request) -> str:
    """The batch's tag; what is not a plain tag is made one, for it goes into tags and paths further on."""
    tag = request.match_info.get("tag", "")
    tag = tag or next(
        (request.headers[name] for name in _TAG_HEADERS if name in request.headers), ""
    )
    if _TAG.fullmatch(tag) and ".." not in tag:
        return tag
    return _NOT_IN_TAGS.sub("_", tag).replace("..", "__")[:255]


def _allow(error: web.HTTPException) -> dict[str, str]:
    return {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}


def _problem(status: int, reason: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps({"reason": reason}),
        content_type="application/json",
        headers=headers,
    )


async def _encoded(request: web.Request, body: bytes) -> web.Response:
    """The labelled batch in the format it came in and an encoding that the caller accepts."""
    encoding = accepted_encoding(request.headers.get("Accept-Encoding"))
    headers = {"Content-Type": request.headers.get("Content-Type", "application/json")}
    if encoding != "none":
        headers["Content-Encoding"] = encoding
        is_large = len(body) > _INLINE_BYTES
        body = (
            await asyncio.to_thread(compress, body, encoding)
            if is_large
            else compress(body, encoding)
        )
    return web.Response(body=body, headers=headers)
