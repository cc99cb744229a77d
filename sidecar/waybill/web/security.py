"""What every request and every answer go through: host, origin, headers."""

from __future__ import annotations

import contextlib
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import SplitResult, urlencode, urlsplit

from aiohttp import web
from markupsafe import Markup

from waybill.settings.addresses import ip_of
from waybill.web.auth import Door
from waybill.web.context import (
    BENCHES,
    HAS_EDITOR,
    LOGGED_OUT,
    NONCE,
    OPEN_TO_ALL,
    REFUSED,
    TAX,
    USER,
)
from waybill.web.store.faults import StoreError

log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'{nonce}; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_OURS = re.compile(r"/(?!/)[\w/.~-]*(?:\?[\w/.~%&=+*,:;@!'()-]*)?", re.ASCII)
#: A page that leads on at once; its icon is none, or the browser would ask for one.
_LEADS_ON = Markup(
    '<!doctype html><title>Waybill</title><link rel="icon" href="data:,"><p><a href="{}">Go on</a>'
)
#: The first status that refuses something.
_BAD_REQUEST = 400
#: Of a path so much is logged.
_PATH_CHARS = 200
_SAFE = ("GET", "HEAD", "OPTIONS")
#: For a year a browser asks us by TLS only; said where the certificate is our own.
_ONLY_TLS = "max-age=31536000"
#: The field of a form, or the header of a script, that holds the form token.
FORM_TOKEN = "form_token"  # noqa: S105 - a name
FORM_HEADER = "Waybill-Form-Token"


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what no page of ours would send; put the headers on every answer."""
    benches = request.app[BENCHES]
    bench = benches[""]
    request[NONCE] = secrets.token_urlsafe(16)
    try:
        if not _is_known_host(request, bench.hosts):
            raise web.HTTPMisdirectedRequest(
                text="This host name is not in workbench.hosts: use one that is, or add it there.\n"
            )
        if request.query.get(TAX, "") not in benches:
            raise web.HTTPNotFound(text=_no_labelling(request, benches))
        answer = await _foreseen(request, handler, bench.door)
    except StoreError as error:
        answer = await _without_store(request, str(error))
    except web.HTTPException as refusal:
        if refusal.status >= _BAD_REQUEST and _is_page(request) and USER in request:
            answer = await request.app[REFUSED](request, refusal.status, refusal.text or "")
            add_headers(request, answer)
            return answer
        add_headers(request, refusal)
        # It and the frames that it came through would hold each other, and what was read there.
        refusal.__context__ = None
        raise refusal.with_traceback(None) from None
    add_headers(request, answer)
    return answer


async def _without_store(request: web.Request, words: str) -> web.Response:
    """What is said where the store cannot be used: a page, where it can still be read."""
    answer = web.Response(status=503, text=f"{words}\n")
    if _is_page(request) and USER in request:
        with contextlib.suppress(StoreError):
            answer = await request.app[REFUSED](request, answer.status, words)
    answer.headers["Retry-After"] = "5"
    return answer


async def _foreseen(request: web.Request, handler: Handler, door: Door) -> web.StreamResponse:
    """The answer; what nobody has foreseen is logged, counted and refused.

    Nothing of the request is logged but its method and path: its body may be records.
    """
    try:
        return await _let_in(request, handler, door)
    except (StoreError, web.HTTPException):
        raise
    except ConnectionError as error:
        if request.transport is not None and not request.transport.is_closing():
            raise
        error.__traceback__ = None  # the stream keeps its error, and so the body
        return web.Response()  # nobody gets it; raised, it would be a traceback in the log
    except Exception:
        asked = {"method": request.method, "path": request.path[:_PATH_CHARS]}
        log.exception("a page failed in an unforeseen way", extra=asked)
        request.app[BENCHES][""].metrics.request_failed()
        if request.writer.output_size:
            raise  # the answer is under way: its connection breaks
        raise web.HTTPInternalServerError(
            text="The workbench failed unexpectedly; its log says where.\n"
        ) from None


async def _let_in(request: web.Request, handler: Handler, door: Door) -> web.StreamResponse:
    if _is_of_another_page(request):
        raise web.HTTPForbidden(text="Pages of other sites may only link here.\n")
    user = door.user_of(request)
    if user is None and request.match_info.handler not in request.app[OPEN_TO_ALL]:
        if request.method in _SAFE and "text/html" in request.headers.get("Accept", ""):
            return _led_here(request)
        if _is_form_of_ours(request):
            return await request.app[LOGGED_OUT](request)
        raise web.HTTPUnauthorized(text="Log in, or send Authorization: Bearer with a token.\n")
    request[USER] = user
    if request.method not in _SAFE and not _is_own(request):
        raise web.HTTPForbidden(text="This request came from another site.\n")
    return await handler(request)


def _led_here(request: web.Request) -> web.Response:
    """The answer to somebody without a cookie who opens a page: the login, which leads on to it.

    Behind a link on another site, such as Kibana, the browser keeps the cookie back
    (``SameSite=Strict``). A page of ours that leads on at once has it sent.
    """
    to = request.path_qs
    if not is_ours(to):
        to = f"{request.app[BENCHES][''].base_path}/"
    elif request.headers.get("Sec-Fetch-Site") == "cross-site":
        headers = {"Refresh": f"0; url={to}"}
        return web.Response(text=_LEADS_ON.format(to), content_type="text/html", headers=headers)
    login = f"{request.app[BENCHES][''].base_path}/login"
    raise web.HTTPSeeOther(f"{login}?{urlencode({'to': to})}")


def is_ours(to: str) -> bool:
    """Whether it is an address of ours: a path, perhaps with a query, and no other host."""
    return _OURS.fullmatch(to) is not None


def _no_labelling(request: web.Request, benches: Mapping[str, object]) -> str:
    names = ", ".join(filter(None, benches)) or "only the first, which needs no name"
    return f"tax: {request.query[TAX][:60]!r} is not one of the labellings here: {names}\n"


def _is_form_of_ours(request: web.Request) -> bool:
    """Whether a page of ours sends a form and shows the answer as the next page."""
    return request.method == "POST" and _is_page(request) and _is_own(request)


def _is_page(request: web.Request) -> bool:
    """Whether a browser shows the answer as the next page."""
    accepted = request.headers.get("Accept", "")
    return "text/html" in accepted and "HX-Request" not in request.headers


def _is_own(request: web.Request) -> bool:
    """Whether a browser says that the request comes from a page of ours; scripts say nothing."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        # Origin is "null" then: our pages send no referrer.
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is None or _parts_of(origin).netloc == request.host


def _is_of_another_page(request: web.Request) -> bool:
    """Whether a page of another site uses an answer as its picture, script or data.

    A link of another site is followed all the same: Kibana leads to patterns.
    """
    site = request.headers.get("Sec-Fetch-Site", "none")
    is_link = request.headers.get("Sec-Fetch-Mode") == "navigate"
    return site not in ("same-origin", "none") and not is_link


def _is_known_host(request: web.Request, hosts: frozenset[str]) -> bool:
    """A name that somebody else's DNS points at us is refused; addresses are what they are."""
    name = _name_of(request)
    return name in hosts or name == "localhost" or ip_of(name) is not None


def _name_of(request: web.Request) -> str:
    """The host name by which a browser asks, without the port."""
    return _parts_of(f"//{request.host}").hostname or ""


def _parts_of(address: str) -> SplitResult:
    """The parts of an address that somebody sent; empty ones where it is not an address."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def add_headers(request: web.Request, answer: web.StreamResponse) -> None:
    """Put the headers on an answer; one that is sent in pieces needs it before it is under way.

    What a proxy with TLS says about its name (HSTS) is the proxy's matter; and ``localhost`` is the
    name of other services too.
    """
    if answer.prepared:
        return
    nonce = f" 'nonce-{request[NONCE]}'" if request.get(HAS_EDITOR) else ""
    answer.headers.setdefault("Content-Security-Policy", _POLICY.format(nonce=nonce))
    if request.secure and _name_of(request) != "localhost":
        answer.headers.setdefault("Strict-Transport-Security", _ONLY_TLS)
    for name, value in _HEADERS.items():
        answer.headers.setdefault(name, value)
    if isinstance(answer, web.Response) and answer.content_type == "text/html":
        _pack(request, answer)


def takes_gzip(request: web.Request) -> bool:
    """Whether the client can unpack gzip."""
    return "gzip" in request.headers.get("Accept-Encoding", "")


def _pack(request: web.Request, page: web.Response) -> None:
    """Compress a page, to a tenth of its size.

    Its size tells strangers nothing of its form token: what they have a browser ask for comes
    without its cookie (``SameSite=Strict``), and so without a token of anybody.
    """
    page.headers.setdefault("Vary", "Accept-Encoding")
    if takes_gzip(request):
        page.enable_compression(web.ContentCoding.gzip)
