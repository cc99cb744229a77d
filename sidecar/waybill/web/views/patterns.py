"""``/patterns``: the list, and the same list as JSON and CSV."""

from __future__ import annotations

import csv
import functools
import io
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from aiohttp import web

from waybill.core.correction import Settled
from waybill.core.labels import Taxonomy
from waybill.core.pattern import Pattern, pattern_id
from waybill.ops.streaming import write_within
from waybill.web import numbers
from waybill.web.context import bench_of, user_of
from waybill.web.rendering import page
from waybill.web.security import add_headers
from waybill.web.spreadsheet import unformula
from waybill.web.store.corrections import last_batch
from waybill.web.store.cursor import given_cursor
from waybill.web.store.facets import Facets, Moved, WayOut, facets, moved_since, ways_out
from waybill.web.store.filters import MEMBERS, STATES, Filter, gathered, predicate, read_filter
from waybill.web.store.queries import (
    Page,
    alike_counts,
    first_hour,
    hours_of,
    is_one_of_each,
    list_ids,
    list_patterns,
    one_pattern,
    patterns_with,
    records_of_day,
    standing,
)
from waybill.web.store.recording import pattern_of
from waybill.web.views.forms import see

#: Headers that sort, by the name of their order.
HEADERS = (
    ("label", "Label", "label"),
    ("", "Pattern", "pattern"),
    ("rate", "Rate", "num rate"),
    ("", "24 h", "spark-cell wide"),
    ("day", "Share", "num share-cell wide spare"),
    ("sure", "Confidence", "num sure"),
    ("by", "Decided by", "by wide"),
    ("", "Sources", "sources wide spare"),
    ("seen", "Seen", "seen"),
)
#: How long a piece of an answer may wait to be read.
_READ_SECS = 60.0
#: Characters of a mask in its row: two lines of the narrowest column, so that its end is seen too.
_LIST_CHARS = 96
_COUNTS = ("hour_rate", "day_count")
#: In a table as ISO 8601 in UTC.
_MOMENTS = ("first_seen", "last_seen")
#: Rows of a download that are held at once.
_BATCH = 1_000


class Listing(NamedTuple):
    """A page of the list with all that its rows show."""

    page: Page
    facets: Facets
    hours: dict[str, list[int]]
    records: int
    said: dict[str, Settled]
    undoable: int
    since: float | None
    alike: dict[str, int]
    seen: sqlite3.Row | None
    ways_out: list[WayOut]


async def show(request: web.Request) -> web.Response:
    """The list as a page."""
    bench = bench_of(request)
    if request.query.get("add") in MEMBERS:
        raise see(request, "/patterns", _added(request))
    wanted = filter_of(request)
    found = await _read(request, wanted)
    states = "+".join(wanted.states)
    number = numbers.count(found.facets.matching)
    return await page(
        request,
        "patterns.html",
        f"{number} {states} · Patterns" if states else f"{number} patterns",
        filter=wanted,
        found=found,
        page=found.page,
        states=STATES[:5],
        headers=HEADERS,
        members=MEMBERS[:5],
        after=given_cursor(request.query),
        pattern_of=pattern_of,
        seen=found.seen,
        sources_of=sources_of,
        list_chars=_LIST_CHARS,
        label_counts=_in_order(found.facets.labels, bench.taxonomy),
        said=request.query.get("said", ""),
        fault=request.query.get("fault", ""),
    )


async def live(request: web.Request) -> web.Response:
    """What moved in a list since a moment, and the numbers of its rows now."""
    bench = bench_of(request)
    wanted = filter_of(request)
    since = wanted.until or 0.0
    now = time.time()
    unsure = bench.settings.workbench.unsure_below
    after = given_cursor(request.query)

    def read(store: sqlite3.Connection) -> tuple[Moved, Page]:
        asked = gathered(store, wanted)
        moved = moved_since(store, asked, now, unsure, since)
        return moved, list_patterns(store, asked, now, unsure, after)

    moved, rows = await bench.database.read(read)
    cells = {}
    for row in rows.rows:
        cells[row["id"]] = {
            "rate": numbers.rate(row["hour_rate"], row["day_count"]),
            "seen": numbers.ago(row["last_seen"], now),
            "at": numbers.iso(row["last_seen"]),
        }
    words = ""
    if moved.new or moved.changed:
        words = f"{moved.new:,} new, {moved.changed:,} changed since {numbers.utc(since)} - show"
    headers = {"Cache-Control": "no-store"}
    return web.json_response({"words": words, "rows": cells}, headers=headers)


def filter_of(request: web.Request) -> Filter:
    """The filter of a request's query string."""
    return read_filter(request.query, list(request.query.items()))


def _added(request: web.Request) -> str:
    """The query string with the condition that the form below the chips adds."""
    value = request.query.get("value", "").strip()
    wanted = filter_of(request)
    if not value:
        return wanted.query()
    return wanted.having(request.query["add"], value, request.query.get("op") == "not")


def _in_order(found: Sequence[tuple[str, int]], taxonomy: Taxonomy) -> list[tuple[str, int]]:
    order = {name: i for i, name in enumerate(taxonomy.names)}
    return sorted(found, key=lambda one: (order.get(one[0], len(order)), one[0]))


async def as_json(request: web.Request) -> web.StreamResponse:
    """The list as JSON: the patterns as their nodes told them, and the counts of all nodes."""
    answer = await _begin(request, "application/json")
    await write_within(request, answer, b'{"patterns":[', _READ_SECS)
    comma = b""
    async for rows in _batches(request):
        parts = []
        for row in rows:
            counts = f'"hour_rate":{row["hour_rate"]},"day_count":{row["day_count"]}'
            # What a node told is JSON already, and never without members.
            parts.append(f"{row['body'].removesuffix('}')},{counts}}}".encode())
        await write_within(request, answer, comma + b",".join(parts), _READ_SECS)
        comma = b","
    await write_within(request, answer, b"]}", _READ_SECS)
    return answer


async def as_csv(request: web.Request) -> web.StreamResponse:
    """The list as CSV, for spreadsheets: a cell that begins like a formula gets a quote."""
    names = ("id", "label", "kind", "tier", "rule", "confidence", "reason", *_COUNTS)
    headers = {"Content-Disposition": 'attachment; filename="patterns.csv"'}
    answer = await _begin(request, "text/csv", headers)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow((*names, *_MOMENTS, "mask"))
    async for rows in _batches(request):
        for row in rows:
            moments = [numbers.iso(row[name]) for name in _MOMENTS]
            cells = (row[name] for name in (*names, "mask"))
            *told, mask = map(_unformula, cells)
            writer.writerow((*told, *moments, mask))
        await write_within(request, answer, text.getvalue().encode("utf-8", "replace"), _READ_SECS)
        text.seek(0)
        text.truncate()
    await write_within(request, answer, text.getvalue().encode(), _READ_SECS)
    return answer


async def _begin(
    request: web.Request, kind: str, headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """An answer that is sent in pieces: a list may have more than memory should hold."""
    answer = web.StreamResponse(headers=headers)
    answer.content_type = kind
    if kind.startswith("text/"):
        answer.charset = "utf-8"
    add_headers(request, answer)
    await answer.prepare(request)
    return answer


def sources_of(pattern: Pattern) -> str:
    """The first source of a pattern, and how many more there are."""
    names = list(pattern.sources)
    if not names:
        return ""
    more = len(names) - 1
    return f"{names[0]} +{more}" if more else names[0]


def _unformula(cell: object) -> object:
    """A cell that no spreadsheet takes for a formula: names of rules are text of others, too."""
    return unformula(cell) if isinstance(cell, str) else cell


async def _batches(request: web.Request) -> AsyncIterator[list[sqlite3.Row]]:
    """All rows of the list, some at a time."""
    database = bench_of(request).database
    wanted = filter_of(request)._replace(is_grouped=False)
    unsure = bench_of(request).settings.workbench.unsure_below
    now = time.time()
    ids = await database.read(lambda store: list_ids(store, wanted, now, unsure))
    for begin in range(0, len(ids), _BATCH):
        some = ids[begin : begin + _BATCH]
        yield await database.read(functools.partial(_in_order_of, ids=some))


def _in_order_of(store: sqlite3.Connection, ids: Sequence[str]) -> list[sqlite3.Row]:
    """The rows of these patterns in their order, without those that have aged out meanwhile."""
    rows = {row["id"]: row for row in patterns_with(store, ids)}
    return [rows[one] for one in ids if one in rows]


async def _read(request: web.Request, wanted: Filter) -> Listing:
    bench = bench_of(request)
    now = time.time()
    unsure = bench.settings.workbench.unsure_below
    author = user_of(request).name

    def read(store: sqlite3.Connection) -> Listing:
        asked = gathered(store, wanted)
        where = predicate(asked, now, unsure)
        found = list_patterns(store, asked, now, unsure, given_cursor(request.query))
        rows = found.rows
        ids = [row["id"] for row in rows]
        one_of_each = is_one_of_each(wanted)
        return Listing(
            page=found,
            facets=facets(store, asked, now, unsure),
            hours=hours_of(store, ids, now),
            records=records_of_day(store, now),
            said={pattern_id(one.correction.mask): one for one in standing(store, *ids)},
            undoable=len(last_batch(store, author)),
            since=first_hour(store),
            alike=alike_counts(store, where, rows) if one_of_each else {},
            seen=one_pattern(store, request.query.get("sel", "")),
            ways_out=[] if rows else ways_out(store, wanted, now, unsure),
        )

    return await bench.database.read(read)
