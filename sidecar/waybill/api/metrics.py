"""``/metrics``, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from waybill.ops.metrics import Metrics


def routes(metrics: Metrics, note_state: Callable[[], None]) -> list[web.RouteDef]:
    """The endpoint; ``note_state`` brings up to date what nothing counts by itself."""

    async def render(request: web.Request) -> web.Response:
        """Prometheus or OpenMetrics text."""
        note_state()
        body, content_type = metrics.render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    return [web.get("/metrics", render)]
