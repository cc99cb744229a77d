"""``/patterns/ID``: one pattern, why it has its label, and what somebody says about it."""

from __future__ import annotations

import sqlite3
import time
from typing import NamedTuple
from urllib.parse import urlencode

from aiohttp import web

from waybill.core.correction import Settled, withdrawal
from waybill.core.pattern import Pattern
from waybill.web.context import Bench, bench_of, user_of
from waybill.web.rendering import page
from waybill.web.saying import GONE, say
from waybill.web.store.corrections import add_correction, find_correction
from waybill.web.store.filters import Filter
from waybill.web.store.queries import (
    hours_of,
    list_patterns,
    one_pattern,
    patterns_with,
    records_of_day,
    standing,
)
from waybill.web.store.recording import pattern_of
from waybill.web.views.forms import read_form, see
from waybill.web.views.why import why


class Found(NamedTuple):
    """A pattern with what the store knows about it."""

    row: sqlite3.Row
    pattern: Pattern
    hours: list[int]
    standings: list[Settled]
    records: int


async def show(request: web.Request) -> web.Response:
    """The page of a pattern; one that is not known is said so, with those that read alike."""
    bench = bench_of(request)
    pattern_id = request.match_info["id"]
    found = await _read(bench, pattern_id)
    if found is None:
        return await unknown(request, pattern_id)
    row = found.row
    return await page(
        request,
        "pattern.html",
        f"{_state(row)}: {row['mask'][:60]} · Pattern",
        row=row,
        pattern=found.pattern,
        hours=found.hours,
        standings=found.standings,
        records=found.records,
        verdict_total=sum(one.count for one in found.pattern.verdicts),
        verdict_sentence=_sentence(row),
        spread=await _spread(bench),
        came_from=request.query.get("in", ""),
        said=request.query.get("said", ""),
        fault=request.query.get("fault", ""),
    )


async def why_part(request: web.Request) -> web.Response:
    """Why a pattern has its label: asked for by itself, for the first answer loads the model."""
    bench = bench_of(request)
    found = await _read(bench, request.match_info["id"])
    lines: list[str] = []
    if found is not None:
        known = (*found.pattern.examples, found.pattern.mask)
        lines = await why(bench.engine, known[0], next(iter(found.pattern.sources), ""))
    return await page(request, "why.html", "Why · Pattern", way=lines)


async def short(request: web.Request) -> web.Response:
    """``/p/ID``: what a link in Kibana or Grafana leads to."""
    raise see(request, f"/patterns/{request.match_info['id']}")


async def correct(request: web.Request) -> web.Response:
    """Record what somebody says about a pattern; all of its records get that label."""
    form = await read_form(request, "review")
    bench = bench_of(request)
    pattern_id = request.match_info["id"]
    rows = await bench.database.read(lambda store: patterns_with(store, [pattern_id]))
    label, note = form.get("label", ""), form.get("note", "")
    outcome = await say(bench, user_of(request).name, rows, label, note)
    query = {"said": "Recorded. It is in force where the sidecars have read it."}
    if not outcome.done:
        query = {"fault": next(iter(outcome.skipped), GONE)}
    query["in"] = form.get("in", "")
    raise see(request, f"/patterns/{pattern_id}", urlencode(query))


async def withdraw(request: web.Request) -> web.Response:
    """Take a correction back: a line more, nothing is deleted."""
    await read_form(request, "review")
    bench = bench_of(request)
    found = await bench.database.read(
        lambda store: find_correction(store, request.match_info["id"])
    )
    if found is None:
        raise web.HTTPNotFound(text="There is no such correction.\n")
    line = withdrawal(found, by=user_of(request).name)
    await bench.database.write(lambda store: add_correction(store, line))
    raise see(request, "/corrections", "said=Withdrawn.")


async def unknown(request: web.Request, what: str) -> web.Response:
    """No such pattern: never a dead end."""
    bench = bench_of(request)
    now = time.time()
    near = await bench.database.read(lambda store: list_patterns(store, Filter(), now, 0, most=3))
    return await page(
        request,
        "message.html",
        "Not known · Pattern",
        heading="This pattern is not known here",
        sentence=f"No sidecar has told of {what[:64]}, or it has aged out.",
        near=near.rows,
    )


async def _read(bench: Bench, pattern_id: str) -> Found | None:
    now = time.time()

    def read(connection: sqlite3.Connection) -> Found | None:
        row = one_pattern(connection, pattern_id)
        if row is None:
            return None
        hours = hours_of(connection, [pattern_id], now)[pattern_id]
        records = records_of_day(connection, now)
        return Found(row, pattern_of(row), hours, standing(connection, pattern_id), records)

    return await bench.database.read(read)


async def _spread(bench: Bench) -> str:
    """On how many nodes the corrections of the store are in force."""
    if bench.settings.workbench.apply == "patch":
        return "once the file is brought to the sidecars"
    return "see Nodes"


def _state(row: sqlite3.Row) -> str:
    return "Undecided" if row["kind"] in ("undecided", "not_asked") else str(row["label"])


def _sentence(row: sqlite3.Row) -> str:
    """Who decided, in a sentence."""
    if row["kind"] in ("undecided", "not_asked"):
        guess = ""
        if row["guess_label"]:
            guess = f"; the best guess is {row['guess_label']} ({row['guess_score']:.2f})"
        return f"Nobody decided ({row['reason'] or 'undecided'}){guess}."
    if row["tier"] == "rule":
        return f"{row['label']}, by the rule {row['rule']}."
    if row["tier"] == "correction":
        return f"{row['label']}, because somebody said so."
    sure = f", {row['confidence']:.2f} sure" if row["confidence"] is not None else ""
    return f"{row['label']}, by the {row['tier']} {row['rule'] or ''}{sure}."
