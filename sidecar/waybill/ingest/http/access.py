"""Who may ask: bearer tokens for all but the probes and scrapers, which have none."""

from __future__ import annotations

from aiohttp import web

from waybill.ingest.http.errors import UnauthorisedError
from waybill.ingest.http.guard import Handler
from waybill.ops.tokens import Tokens

#: Paths that answer without a token.
OPEN_PATHS = frozenset(("/healthz", "/readyz", "/metrics"))


class Access:
    """The middleware that asks for a token; with none configured everybody may ask."""

    def __init__(self, tokens: Tokens | None) -> None:
        self._tokens = tokens

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request that may be asked.

        Raises:
            UnauthorisedError: it may not.
        """
        if self._tokens is None or request.path.rstrip("/") in OPEN_PATHS:
            return await handler(request)
        if self._tokens.accept(request.headers.get("Authorization")):
            return await handler(request)
        raise UnauthorisedError
