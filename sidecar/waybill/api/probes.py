"""``/healthz`` and ``/readyz``: for the kubelet, and for people who ask what is in force."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web

from waybill.api.answers import as_json

Report = Callable[[], Mapping[str, object]]


def routes(report: Report, is_draining: Callable[[], bool]) -> list[web.RouteDef]:
    """Both probes; ``report`` says what is in force and what was refused."""

    async def healthz(_: web.Request) -> web.Response:
        """Liveness: answers as long as the event loop turns."""
        return as_json({"status": "alive"})

    async def readyz(_: web.Request) -> web.Response:
        """Readiness, with what is in force and what was refused.

        Not ready only while draining: an LLM that is down, for example, costs some records their
        label and is none of the probe's business.
        """
        if is_draining():
            return as_json({"status": "draining", **report()}, 503)
        return as_json({"status": "ready", **report()})

    return [web.get("/healthz", healthz), web.get("/readyz", readyz)]
