"""``/login``, ``/keys``, ``/healthz`` and the files of the pages."""

from __future__ import annotations

import asyncio
import functools
import gzip
import mimetypes
from importlib import resources
from pathlib import Path
from typing import TypeVar

from aiohttp import web
from markupsafe import Markup

from waybill.api.description import operations
from waybill.web.auth import COOKIE, SESSION_SECS, User
from waybill.web.context import USER, bench_of
from waybill.web.kept_forms import keep_form, read_kept
from waybill.web.rendering import page
from waybill.web.security import is_ours, takes_gzip
from waybill.web.templating import STATIC
from waybill.web.views.forms import read_texts, see

KEYS = (
    ("/", "find a log line, a pattern, a rule, a source, a label; arrows go through what is found"),
    ("j k", "next, previous row, or pattern of the list that one came from"),
    ("Enter", "open; in a form: send"),
    ("x, Shift+x, *", "tick a row, all up to it, all of the page"),
    ("f", "text of the filter"),
    (". p", "show what is new; freeze the list"),
    ("w", "this label is wrong: choose another by its key, then Enter"),
    ("y", "this label is right"),
    ("r", "make a rule"),
    ("v", "preview a row of the list; Esc closes it"),
    ("s o n a", "in the queue: skip, open, note, answer those that read alike too"),
    ("u", "undo"),
    ("t, Shift+s, Shift+a", "try a rule, put it in shadow mode, apply rules or corrections"),
    ("o, l, d", "of a file: choose one, label it, download it with its labels"),
    ("c", "copy a link to what is shown"),
    ("1 to 9, 0", "the labels in their order; 0 is no event"),
    ("g then o, p, r, u", "go to Overview, Patterns, Review, Rules"),
    ("g then s, m, c, t", "go to Sources, Models, CSV, Try"),
    ("?", "this list"),
)
_YEAR = 31_536_000


async def login(request: web.Request) -> web.Response:
    """The form for a token; a one-time code of the query logs in at once. ``to`` is opened then."""
    code = request.query.get("code", "")
    if code:
        user = bench_of(request).door.user_for_code(code)
        if user is not None:
            raise _with_cookie(request, user, see(request, "/"))
    fault = "This login link works once, and it has been used: log in with a token." if code else ""
    to = request.query.get("to", "")
    return await page(request, "login.html", "Log in", fault=fault, kept=None, to=to)


async def enter(request: web.Request) -> web.Response:
    """Swap a token for a cookie."""
    form = await read_texts(request)
    token = form.get("token", "")
    user = bench_of(request).door.user_with(token.strip(), request.remote)
    kept = read_kept(form.get("kept", ""))
    if user is None:
        fault = "This token is not known."
        to = form.get("to", "")
        return await page(request, "login.html", "Log in", 403, fault=fault, kept=kept, to=to)
    if kept is None:
        to = form.get("to", "")
        leads_to = web.HTTPSeeOther(to) if is_ours(to) else see(request, "/")
        raise _with_cookie(request, user, leads_to)
    cookie = bench_of(request).door.cookie_for(user)
    request[USER] = user
    token = bench_of(request).door.form_token(request, cookie)
    answer = await page(
        request,
        "resend.html",
        "Logged in",
        to=kept.to,
        kept=kept.fields,
        form_token=token,
        heading="You are logged in again",
    )
    return _with_cookie(request, user, answer, cookie)


async def logged_out(request: web.Request) -> web.Response:
    """What answers a form of somebody whose login has expired: the form is kept."""
    fields = list((await read_texts(request)).items())
    kept = keep_form(request.path_qs, fields)
    fault = "You were logged out, and nothing was done. Log in: what you sent is kept."
    if kept is None:
        fault = "You were logged out, and nothing was done. Log in, go back, and send it again."
    return await page(request, "login.html", "Log in", 401, fault=fault, kept=kept, to="")


async def keys(request: web.Request) -> web.Response:
    """Every key and what it does."""
    return await page(request, "keys.html", "Keys", keys=KEYS)


async def docs(request: web.Request) -> web.Response:
    """What the calls of a sidecar take and answer."""
    return await page(request, "docs.html", "Calls", operations=_operations())


async def openapi(_: web.Request) -> web.Response:
    """The same for tools."""
    text = resources.files("waybill.api").joinpath("openapi.json").read_bytes()
    return web.Response(body=text, content_type="application/json")


@functools.cache
def _operations() -> Markup:
    return Markup(operations())  # noqa: S704 - our own description, escaped


async def healthz(_: web.Request) -> web.Response:
    """The process answers."""
    return web.Response(text="ok\n")


async def static(request: web.Request) -> web.StreamResponse:
    """A file of the pages; its address changes with it, so a browser may keep it for ever."""
    name = request.match_info["name"]
    if not bench_of(request).templates.has_asset(name):
        raise web.HTTPNotFound(text="There is no such file.\n")
    file = STATIC / name
    headers = {"Cache-Control": f"public, max-age={_YEAR}, immutable", "Content-Type": _type(file)}
    headers["Vary"] = "Accept-Encoding"
    if not takes_gzip(request):
        return web.FileResponse(file, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return web.Response(body=await asyncio.to_thread(_packed, file), headers=headers)


@functools.cache
def _packed(file: Path) -> bytes:
    """A file of the pages, compressed: all of them together are 300 KB."""
    return gzip.compress(file.read_bytes(), mtime=0)


def _type(file: Path) -> str:
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


Answer = TypeVar("Answer", bound=web.Response)


def _with_cookie(request: web.Request, user: User, answer: Answer, cookie: str = "") -> Answer:
    """The answer with what the browser of ``user`` brings along from now on."""
    bench = bench_of(request)
    answer.set_cookie(
        COOKIE,
        cookie or bench.door.cookie_for(user),
        max_age=SESSION_SECS,
        httponly=True,
        samesite="Strict",
        secure=bench.door.is_secret(request),
        path=f"{bench.base_path}/",
    )
    return answer


#: What needs nobody to be logged in.
OPEN: frozenset[object] = frozenset({login, enter, healthz, static})
