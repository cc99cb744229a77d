"""``/metrics``, for Prometheus."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from waybill.web.context import bench_of
from waybill.web.store.nodes import health


async def show(request: web.Request) -> web.Response:
    """What the workbench counts."""
    bench = bench_of(request)
    found = await bench.database.read(health)
    bench.metrics.note_sidecars(found.answering, found.all - found.answering)
    return web.Response(body=bench.metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})
