"""``/corrections``: who said what, when; and the file that sidecars read."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from aiohttp import web

from waybill.core.correction import Correction, settle, withdrawal
from waybill.core.pattern import pattern_id
from waybill.web import numbers
from waybill.web.context import bench_of, user_of
from waybill.web.labellings import named
from waybill.web.rendering import page
from waybill.web.store.corrections import add_correction, export, waiting_ids
from waybill.web.store.queries import history
from waybill.web.views.forms import read_form, see

#: Lines of a page; the download has all.
_PAGE = 200


class Line(NamedTuple):
    """A line of the history, what became of it, and whether it waits to be applied."""

    line: Correction
    pattern: str
    state: str
    waits: bool


async def show(request: web.Request) -> web.Response:
    """The history, newest first."""
    bench = bench_of(request)
    lines = await bench.database.read(history)
    standing = {one.correction.id: one.is_disputed for one in settle(lines)}
    taken_back = {line.withdraws for line in lines if line.withdraws is not None}
    lines.reverse()
    label, by = request.query.get("label", ""), request.query.get("by", "")
    lines = [line for line in lines if label in ("", line.label) and by in ("", line.by)]
    waiting = await bench.database.read(waiting_ids)
    begin = _behind(lines, request.query.get("after", ""))
    page_of = lines[begin : begin + _PAGE]
    shown = [
        Line(line, pattern_id(line.mask), _state(line, standing, taken_back), line.id in waiting)
        for line in page_of
    ]
    is_last = begin + _PAGE >= len(lines)
    return await page(
        request,
        "corrections.html",
        f"{numbers.count(len(standing))} active · Corrections",
        lines=shown,
        first=begin + 1,
        all=len(lines),
        after="" if is_last else page_of[-1].id,
        waiting=len(waiting),
        narrowed=[(name, value) for name, value in (("label", label), ("by", by)) if value],
        query=urlencode({"label": label, "by": by}) if label or by else "",
        fault=request.query.get("fault", ""),
        said=request.query.get("said", ""),
    )


async def withdraw(request: web.Request) -> web.Response:
    """Take back all that are ticked and stand: a line more for each, nothing is deleted."""
    wanted = set((await read_form(request, "review")).getall("id", []))
    by = user_of(request).name

    def take_back(store: sqlite3.Connection) -> int:
        standing = [one.correction for one in settle(history(store))]
        chosen = [one for one in standing if one.id in wanted]
        for one in chosen:
            add_correction(store, withdrawal(one, by=by))
        return len(chosen)

    count = await bench_of(request).database.write(take_back) if wanted else 0
    if not count:
        raise see(request, "/corrections", "fault=No+active+correction+was+selected.")
    raise see(request, "/corrections", urlencode({"said": f"{numbers.count(count)} withdrawn."}))


def _behind(lines: Sequence[Correction], after: str) -> int:
    """The place behind the line ``after``, whatever was said meanwhile; 0 without such a line."""
    for place, line in enumerate(lines):
        if line.id == after:
            return place + 1
    return 0


async def download(request: web.Request) -> web.Response:
    """The whole history as NDJSON: for ``corrections.path``."""
    bench = bench_of(request)
    body = named(await bench.database.read(export), bench.labelling)
    headers = {"Content-Disposition": 'attachment; filename="corrections.ndjson"'}
    return web.Response(body=body, content_type="application/x-ndjson", headers=headers)


def _state(line: Correction, standing: dict[str, bool], taken_back: set[str]) -> str:
    if line.withdraws is not None:
        return "withdraws another"
    if line.id in taken_back:
        return "withdrawn"
    if line.id not in standing:
        return "replaced by a later one"
    return "2 opinions" if standing[line.id] else "active"
