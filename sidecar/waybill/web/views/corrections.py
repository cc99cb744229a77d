"""``/corrections``: who said what, when; and the file that sidecars read."""

from __future__ import annotations

from typing import NamedTuple

from aiohttp import web

from waybill.core.correction import Correction, settle
from waybill.core.pattern import pattern_id
from waybill.web import numbers
from waybill.web.context import bench_of
from waybill.web.labellings import named
from waybill.web.rendering import page
from waybill.web.store.corrections import count_waiting, export
from waybill.web.store.queries import history

#: Lines of the page; the download has all.
_MOST_LINES = 1000


class Line(NamedTuple):
    """A line of the history and what became of it."""

    line: Correction
    pattern: str
    state: str


async def show(request: web.Request) -> web.Response:
    """The history, newest first."""
    bench = bench_of(request)
    lines = await bench.database.read(history)
    standing = {one.correction.id: one.is_disputed for one in settle(lines)}
    taken_back = {line.withdraws for line in lines if line.withdraws is not None}
    shown = [
        Line(line, pattern_id(line.mask), _state(line, standing, taken_back))
        for line in lines[::-1][:_MOST_LINES]
    ]
    return await page(
        request,
        "corrections.html",
        f"{numbers.count(len(standing))} stand · Corrections",
        lines=shown,
        waiting=await bench.database.read(count_waiting),
        fault=request.query.get("fault", ""),
        said=request.query.get("said", ""),
    )


async def download(request: web.Request) -> web.Response:
    """The whole history as NDJSON: for ``corrections.path``."""
    bench = bench_of(request)
    body = named(await bench.database.read(export), bench.labelling)
    headers = {"Content-Disposition": 'attachment; filename="corrections.ndjson"'}
    return web.Response(body=body, content_type="application/x-ndjson", headers=headers)


def _state(line: Correction, standing: dict[str, bool], taken_back: set[str]) -> str:
    if line.withdraws is not None:
        return "takes one back"
    if line.id in taken_back:
        return "withdrawn"
    if line.id not in standing:
        return "a later one decides"
    return "2 opinions" if standing[line.id] else "stands"
