"""``/v1/rule-files`` and ``/v1/corrections``: what sidecars that follow this workbench fetch."""

from __future__ import annotations

import sqlite3

from aiohttp import web

from waybill.labelling.rules.texts import encode_texts, texts_version
from waybill.web.context import bench_of
from waybill.web.store.changes import stored_files, was_applied
from waybill.web.store.corrections import applied_version, export_applied


async def rule_files(request: web.Request) -> web.Response:
    """The rule files of ``workbench.apply: follow``; 204 while none was ever made here."""
    bench = bench_of(request)
    if bench.settings.workbench.apply != "follow":
        raise web.HTTPNotFound(text="workbench.apply is not follow: rules travel another way.\n")

    def read(store: sqlite3.Connection) -> dict[str, str] | None:
        return stored_files(store) if was_applied(store) else None

    files = await bench.database.read(read)
    if files is None:
        return web.Response(status=204)
    return _sent(request, encode_texts(files), texts_version(files), "application/json")


async def corrections(request: web.Request) -> web.Response:
    """The corrections that were applied, as NDJSON."""
    bench = bench_of(request)
    if bench.settings.workbench.apply != "follow":
        raise web.HTTPNotFound(text="workbench.apply is not follow: they travel another way.\n")

    def read(store: sqlite3.Connection) -> tuple[bytes, str]:
        return export_applied(store), applied_version(store)

    body, version = await bench.database.read(read)
    return _sent(request, body, version, "application/x-ndjson")


def _sent(request: web.Request, body: bytes, version: str, kind: str) -> web.Response:
    """The body, or that it is what the asker has."""
    tag = f'"{version}"'
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers={"ETag": tag})
    return web.Response(body=body, content_type=kind, headers={"ETag": tag})
