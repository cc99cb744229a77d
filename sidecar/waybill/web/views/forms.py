"""What forms bring along, checked before anything is done with it."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from waybill.web.auth import Scope
from waybill.web.context import bench_of, user_of
from waybill.web.security import FORM_HEADER, FORM_TOKEN

#: What a form may hold; files have an endpoint of their own.
MAX_FORM_BYTES = 2 << 20


async def read_form(request: web.Request, scope: Scope) -> Mapping[str, str]:
    """The texts of a form.

    Raises:
        web.HTTPForbidden: it is no form of ours, or whoever sends it lacks ``scope``.
    """
    user = user_of(request)
    if not user.may(scope):
        raise web.HTTPForbidden(
            text=f"This needs the scope {scope}; you have {user.scope or 'none'}.\n"
        )
    fields = await request.post()
    found = {name: value for name, value in fields.items() if isinstance(value, str)}
    token = request.headers.get(FORM_HEADER) or found.get(FORM_TOKEN, "")
    with_bearer = request.headers.get("Authorization", "").lower().startswith("bearer ")
    if not with_bearer and not bench_of(request).door.is_form_token(request, token):
        raise web.HTTPForbidden(text="The form is too old or not ours: open the page again.\n")
    return found


def see(request: web.Request, path: str, query: str = "") -> web.HTTPSeeOther:
    """The answer that leads from a form to a page, so that a reload does not send it again."""
    return web.HTTPSeeOther(bench_of(request).templates.url(path, query))
