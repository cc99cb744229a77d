"""``POST /-/reload``: load everything that can be loaded anew, now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from waybill.api.answers import as_json
from waybill.api.probes import Report


def routes(reload: Callable[[], Awaitable[bool]], report: Report) -> list[web.RouteDef]:
    """The endpoint; ``reload`` says whether everything is in force."""

    async def load(_: web.Request) -> web.Response:
        """The report; 409 when something was refused and the old one stays."""
        if await reload():
            return as_json(report())
        return as_json(report(), 409)

    return [web.post("/-/reload", load)]
