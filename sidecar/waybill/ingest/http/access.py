"""Who may ask: no pages of other sites, and bearer tokens for all but the probes and scrapers."""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web

from waybill.ingest.http.errors import CrossSiteError, OutOfScopeError, UnauthorisedError
from waybill.ingest.http.guard import Handler
from waybill.ingest.http.scopes import scope_of
from waybill.ingest.http.sentences import sentence
from waybill.ops.tokens import Tokens
from waybill.settings.addresses import ip_of

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
            OutOfScopeError: its token is for shipping alone.
        """
        if request.method not in _SAFE_METHODS and _is_of_another_site(request):
            raise CrossSiteError
        scope = scope_of(request.path)
        if self._tokens is not None and scope != "open":
            header = request.headers.get("Authorization")
            given = self._tokens.scope_of(header)
            if given is None:
                raise UnauthorisedError(_lacking(header))
            # Where nothing is served every token is told so.
            is_served = request.match_info.http_exception is None
            if given == "ship" and scope == "all" and is_served:
                raise OutOfScopeError
        return await handler(request)


def _lacking(header: str | None) -> str:
    """What is wrong with an ``Authorization``; nothing of it, for it may be the token itself."""
    if header is None:
        return sentence("unauthorised")
    if header.partition(" ")[0].lower() != "bearer":
        return f"Authorization does not begin with Bearer; {sentence('unauthorised')}"
    return "this token is not in http.tokens_file"


def _is_of_another_site(request: web.Request) -> bool:
    """Whether a browser sends this for a page of another site.

    Any page may make the browser of its reader send a form to an address that only that
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
        is_other = urlsplit(origin).netloc.lower() != request.host.lower()
        return is_other or _is_borrowed(request)
    except ValueError:
        return True


def _is_borrowed(request: web.Request) -> bool:
    """Whether a browser asks this machine itself under another name than ``localhost``.

    The owner of a name can make it resolve to the loopback address, and their page is then, for a
    browser, one of ours. Raises ValueError: it is not a name.
    """
    if request.transport is None:
        return False
    own = request.transport.get_extra_info("sockname")
    if not isinstance(own, tuple) or not _is_loopback(own[0]):
        return False
    name = request.url.host or ""
    if ip_of(name) is not None:
        return False
    return name.rpartition(".")[2].lower() != "localhost"


def _is_loopback(address: str) -> bool:
    found = ip_of(address)
    if found is None:
        return False
    mapped = getattr(found, "ipv4_mapped", None)  # IPv6 alone has it
    return (mapped or found).is_loopback
