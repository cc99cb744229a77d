"""What forms bring along, checked before anything is done with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import web
from multidict import MultiDict

from waybill.web.auth import Scope
from waybill.web.context import OPEN_TO_ALL, STRANGE_FORMS, USER, bench_of, user_of
from waybill.web.form_fields import fields_of
from waybill.web.kept_forms import SENT_FORM, STALE_FORM, keep_form
from waybill.web.security import FORM_HEADER, FORM_TOKEN

#: What a form may hold; files have an endpoint of their own.
MAX_FORM_BYTES = 2 << 20
#: How a form without files comes; one without any field may come without a type.
_KINDS = ("application/x-www-form-urlencoded", "application/octet-stream")
#: A page of patterns that are all ticked has a hundred.
_MOST_FIELDS = 2000
#: So much is read at once: a millisecond of escapes.
_AT_ONCE_BYTES = 16 << 10
#: Characters of a text that goes on from a form in an address. Longer addresses nobody reads.
_MOST_CARRIED = 4000
#: How long a form may take to come.
_READ_SECS = 15.0


async def read_texts(request: web.Request) -> MultiDict[str]:
    """The texts of a form, as browsers send one that holds no file.

    Raises:
        web.HTTPUnsupportedMediaType: it is sent in another way.
        web.HTTPRequestEntityTooLarge: more than `MAX_FORM_BYTES`.
        web.HTTPBadRequest: it does not come in time, or has more than `_MOST_FIELDS` texts.
    """
    if request.content_type not in _KINDS:
        raise web.HTTPUnsupportedMediaType(text=f"Send the form as {_KINDS[0]}.\n")
    body = bytearray()
    try:
        with request.app[STRANGE_FORMS].counted() as grow:
            await _read(request, body, grow)
            pairs = await _fields(bytes(body))
    except (TimeoutError, ValueError):
        text = "The form did not come in time, or cannot be read.\n"
        raise web.HTTPBadRequest(text=text) from None
    finally:
        # A refusal holds the frames that it came through, and they hold it: the megabytes would
        # wait for the collector, which counts objects.
        body.clear()
    return MultiDict(pairs)


async def _fields(body: bytes) -> list[tuple[str, str]]:
    """Those of a form; of a large one beside the event loop. Raises ValueError."""
    if len(body) <= _AT_ONCE_BYTES:
        return fields_of(body, _MOST_FIELDS)
    return await asyncio.to_thread(fields_of, body, _MOST_FIELDS)


async def _read(request: web.Request, body: bytearray, grow: Callable[[int], bool]) -> None:
    """Append what comes to ``body``. Raises web.HTTPException, TimeoutError."""
    is_open = request.match_info.handler in request.app[OPEN_TO_ALL]
    is_strange = is_open or request.get(USER) is None
    async with asyncio.timeout(_READ_SECS):
        async for piece in request.content.iter_any():
            body += piece
            if len(body) > MAX_FORM_BYTES:
                raise web.HTTPRequestEntityTooLarge(MAX_FORM_BYTES, len(body))
            if is_strange and not grow(len(body)):
                raise web.HTTPServiceUnavailable(
                    text="Others are sending too much now: try again.\n",
                    headers={"Retry-After": "15"},
                )


async def read_form(request: web.Request, scope: Scope) -> MultiDict[str]:
    """The texts of a form of ours; it can be read once.

    Raises:
        web.HTTPForbidden: it is not a form of ours, or from before its sender logged in, which is
            kept (`refused`), or its sender lacks ``scope``.
        web.HTTPException: as `read_texts`.
    """
    user = user_of(request)
    if not user.may(scope):
        raise web.HTTPForbidden(
            text=f"This needs the scope {scope}; you have {user.scope or 'none'}.\n"
        )
    found = await read_texts(request)
    token = request.headers.get(FORM_HEADER) or found.get(FORM_TOKEN) or ""
    with_bearer = request.headers.get("Authorization", "").lower().startswith("bearer ")
    if not with_bearer and not bench_of(request).door.is_form_token(request, token):
        request[STALE_FORM] = keep_form(request.path_qs, list(found.items()))
        raise web.HTTPForbidden(text="The form is from before you logged in: send it once more.\n")
    request[SENT_FORM] = found
    return found


def carried(form: Mapping[str, str], name: str) -> str:
    """A text of a form that goes on in the address of the next page.

    Raises:
        web.HTTPBadRequest: it is longer than any that a page of ours puts there.
    """
    text = form.get(name, "")
    if len(text) > _MOST_CARRIED:
        why = f"{name}: expected at most {_MOST_CARRIED:,} characters: open the page anew.\n"
        raise web.HTTPBadRequest(text=why)
    return text


def see(request: web.Request, path: str, query: str = "") -> web.HTTPSeeOther:
    """The answer that leads from a form to a page, so that a reload does not send it again."""
    return web.HTTPSeeOther(bench_of(request).templates.url(path, query))
