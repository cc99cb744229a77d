"""``/openapi.json``: the description of this service for tools."""

from __future__ import annotations

from importlib import resources

from aiohttp import web


def routes() -> list[web.RouteDef]:
    """The endpoint."""
    text = resources.files("waybill.api").joinpath("openapi.json").read_bytes()

    async def describe(_: web.Request) -> web.Response:
        """The OpenAPI description of this service."""
        return web.Response(body=text, content_type="application/json")

    return [web.get("/openapi.json", describe)]
