"""One answer for several patterns: those that are ticked, or all that a filter lets through."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from waybill.web import numbers
from waybill.web.context import bench_of, user_of
from waybill.web.saying import say, take_back
from waybill.web.store.filters import predicate, read_filter
from waybill.web.store.queries import count_patterns, patterns_where, patterns_with
from waybill.web.views.forms import carried, read_form, see

#: Patterns of one go.
_MOST = 50_000
#: How far the number of patterns may have moved since the page showed it.
_MOST_MOVED = 0.05


async def correct(request: web.Request) -> web.Response:
    """Correct the patterns of the form; the list follows, with what was done."""
    form = await read_form(request, "review")
    query = carried(form, "query")
    rows: list[sqlite3.Row] = []
    if form.get("all"):
        rows, fault = await _matching(request, form, query)
        if fault:
            raise see(request, "/patterns", _with(query, "fault", fault))
    else:
        ids = form.getall("id", [])
        rows = await bench_of(request).database.read(lambda store: patterns_with(store, ids[:1000]))
    label = form.get("label", "")
    if form.get("right"):
        return await _as_they_are(request, rows, query)
    outcome = await say(bench_of(request), user_of(request).name, rows, label, form.get("note", ""))
    raise see(request, "/patterns", _with(query, "said", outcome.sentence))


async def undo(request: web.Request) -> web.Response:
    """Take back the last corrections."""
    form = await read_form(request, "review")
    query = carried(form, "query")
    ids = await take_back(bench_of(request), user_of(request).name)
    words = f"Taken back: {len(ids):,} corrections." if ids else "There is nothing to take back."
    raise see(request, "/patterns", _with(query, "said", words))


async def _as_they_are(request: web.Request, rows: list[sqlite3.Row], query: str) -> web.Response:
    """Confirm the label that one pattern has."""
    if len(rows) != 1 or rows[0]["kind"] != "decided":
        words = "Right: choose one pattern that has a label."
        raise see(request, "/patterns", _with(query, "fault", words))
    label = rows[0]["label"]
    outcome = await say(bench_of(request), user_of(request).name, rows, label)
    raise see(request, "/patterns", _with(query, "said", outcome.sentence))


async def _matching(
    request: web.Request, form: Mapping[str, str], query: str
) -> tuple[list[sqlite3.Row], str]:
    """The patterns that the filter lets through now; a sentence when they are others by far."""
    bench = bench_of(request)
    pairs = parse_qsl(query)
    wanted = read_filter(dict(pairs), pairs)
    where = predicate(wanted, time.time(), bench.settings.workbench.unsure_below)
    expected = numbers.read_whole(form.get("expected", ""), 15) or 0
    number = await bench.database.read(lambda store: count_patterns(store, where))
    if abs(number - expected) > _MOST_MOVED * max(expected, 1):
        words = (
            f"Nothing was done: {number:,} patterns match now, the page said {expected:,}. "
            "Look at the list again."
        )
        return [], words
    return await bench.database.read(lambda store: patterns_where(store, where, _MOST)), ""


def _with(query: str, name: str, words: str) -> str:
    return "&".join(part for part in (query, urlencode({name: words})) if part)
