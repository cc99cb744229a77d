"""Who may ask: no pages of other sites, and bearer tokens for all but the probes and scrapers."""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web

from waybill.ingest.http.errors import CrossSiteError, UnauthorisedError
from waybill.ingest.http.guard import Handler
from waybill.ops.tokens import Tokens

#: Paths that answer without a token.
OPEN_PATHS = frozenset(("/healthz", "/readyz", "/metrics"))
#: Methods that change nothing.
_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
#: What browsers say of a request that no other site asked for.
_OWN_SITES = frozenset(("same-origin", "none"))


class Access:
    """The middleware that refuses what other sites' pages send, and asks for a token.

    With no tokens configured every program may ask.
    """

    def __init__(self, tokens: Tokens | None) -> None:
        self._tokens = tokens

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request that may be asked.

        Raises:
            CrossSiteError: a page of another site asks to change something.
            UnauthorisedError: its token is missing or wrong.
        """
        if request.method not in _SAFE_METHODS and _is_of_another_site(request):
            raise CrossSiteError
        if self._tokens is None or request.path.rstrip("/") in OPEN_PATHS:
            return await handler(request)
        if self._tokens.accept(request.headers.get("Authorization")):
            return await handler(request)
        raise UnauthorisedError


def _is_of_another_site(request: web.Request) -> bool:
    """Whether a browser sends this for a page of another site.

    Any page may make the browser of whoever reads it send a form to an address that only that
    person reaches, such as 127.0.0.1. Browsers say so in ``Sec-Fetch-Site``, older ones and those
    without a secure connection in ``Origin``. No shipper sends either.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in _OWN_SITES
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != request.host.lower()
    except ValueError:
        return True
