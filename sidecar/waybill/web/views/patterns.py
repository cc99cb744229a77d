"""``/patterns``: the list, and the same list as JSON and CSV."""

from __future__ import annotations

import csv
import io
import sqlite3
import time
from typing import NamedTuple

import orjson
from aiohttp import web

from waybill.web import numbers
from waybill.web.context import Bench, bench_of
from waybill.web.rendering import page
from waybill.web.store.filters import STATES, Filter, State, predicate, read_filter
from waybill.web.store.queries import (
    Page,
    count_patterns,
    hours_of,
    list_patterns,
    records_of_day,
    sum_of_rates,
)
from waybill.web.store.recording import pattern_of

SORTS = (
    ("-rate", "rate, undecided first"),
    ("-day", "records a day"),
    ("-seen", "last seen"),
    ("-first", "newest"),
    ("sure", "least sure"),
)
_COUNTS = ("hour_rate", "day_count")
#: Rows of a download.
_MOST_ROWS = 50_000


class _List(NamedTuple):
    page: Page
    rate: float
    facets: list[tuple[State, int]]
    hours: dict[str, list[int]]
    records: int


async def show(request: web.Request) -> web.Response:
    """The list as a page."""
    bench = bench_of(request)
    wanted = read_filter(request.query, list(request.query.items()))
    found = await _read(bench, wanted, request.query.get("after", ""))
    states = "+".join(wanted.states)
    number = numbers.count(found.page.matching)
    return await page(
        request,
        "patterns.html",
        f"{number} {states} · Patterns" if states else f"{number} patterns",
        filter=wanted,
        page=found.page,
        matching_rate=found.rate,
        facets=found.facets,
        hours=found.hours,
        records=found.records,
        sorts=SORTS,
        sources={row["id"]: sources_of(row) for row in found.page.rows},
    )


async def as_json(request: web.Request) -> web.Response:
    """The list as JSON: the patterns as their nodes told them, and the counts of all nodes."""
    rows = await _all(request)
    body = []
    for row in rows:
        counts = {"hour_rate": row["hour_rate"], "day_count": row["day_count"]}
        body.append({**orjson.loads(row["body"]), **counts})
    return web.Response(body=orjson.dumps({"patterns": body}), content_type="application/json")


async def as_csv(request: web.Request) -> web.Response:
    """The list as CSV, for spreadsheets: a cell that begins like a formula gets a quote."""
    text = io.StringIO()
    writer = csv.writer(text)
    names = ("id", "label", "kind", "tier", "rule", "confidence", "reason", *_COUNTS)
    writer.writerow((*names, "mask"))
    for row in await _all(request):
        writer.writerow([*(row[name] for name in names), _unformula(row["mask"])])
    headers = {"Content-Disposition": 'attachment; filename="patterns.csv"'}
    return web.Response(text=text.getvalue(), content_type="text/csv", headers=headers)


def sources_of(row: sqlite3.Row) -> str:
    """The first source of a pattern, and how many more there are."""
    pattern = pattern_of(row)
    names = list(pattern.sources)
    if not names:
        return ""
    more = len(names) - 1
    return f"{names[0]} +{more}" if more else names[0]


def _unformula(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


async def _all(request: web.Request) -> list[sqlite3.Row]:
    bench = bench_of(request)
    wanted = read_filter(request.query, list(request.query.items()))
    unsure = bench.settings.workbench.unsure_below
    now = time.time()
    found = await bench.database.read(
        lambda store: list_patterns(store, wanted, now, unsure, most=_MOST_ROWS)
    )
    return found.rows


async def _read(bench: Bench, wanted: Filter, after: str) -> _List:
    now = time.time()
    unsure = bench.settings.workbench.unsure_below

    def read(connection: sqlite3.Connection) -> _List:
        found = list_patterns(connection, wanted, now, unsure, after)
        rate = sum_of_rates(connection, predicate(wanted, now, unsure))
        facets = []
        for state in STATES[:5]:
            where = predicate(Filter(states=(state,)), now, unsure)
            facets.append((state, count_patterns(connection, where)))
        hours = hours_of(connection, [row["id"] for row in found.rows], now)
        records = records_of_day(connection, now)
        return _List(found, rate, facets, hours, records)

    return await bench.database.read(read)
