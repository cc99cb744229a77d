"""``/openapi.json``, ``/docs`` and ``/``: the description of this service, for tools and people."""

from __future__ import annotations

from importlib import resources

from aiohttp import web

from waybill.api.description import POLICY, front_page, operations, whole_page

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def routes(workbench: str | None) -> list[web.RouteDef]:
    """The endpoints; ``workbench`` is the address that the front page links to."""
    text = resources.files("waybill.api").joinpath("openapi.json").read_bytes()
    front = front_page(workbench)
    docs = whole_page("The calls of Waybill", operations())

    async def describe(_: web.Request) -> web.Response:
        """The OpenAPI description of this service."""
        return web.Response(body=text, content_type="application/json")

    async def show_docs(_: web.Request) -> web.Response:
        """The same, to be read."""
        return web.Response(text=docs, content_type="text/html", headers=_HEADERS)

    async def show_front(_: web.Request) -> web.Response:
        """What is where."""
        return web.Response(text=front, content_type="text/html", headers=_HEADERS)

    return [
        web.get("/openapi.json", describe),
        web.get("/docs", show_docs),
        web.get("/", show_front),
    ]
