"""``GET /v1/edition``: what is in force here, since when, and what was refused last and why.

A fleet asks each of its members, so that "in force on 198 of 200" is a fact. Nothing in it is
secret: versions, times, and the faults of files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web

from waybill.api.answers import as_json

Describe = Callable[[], Mapping[str, object]]


def routes(describe: Describe) -> list[web.RouteDef]:
    """The endpoint."""

    async def edition(_: web.Request) -> web.Response:
        """Version, moment and last refusal of each part that decides labels."""
        return as_json(describe())

    return [web.get("/v1/edition", edition)]
