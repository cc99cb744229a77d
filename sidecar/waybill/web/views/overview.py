"""``/``: what the services say, how much of it is decided, and what to do next."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import NamedTuple

from aiohttp import web

from waybill.core.correction import settle
from waybill.core.labels import Taxonomy
from waybill.web import numbers
from waybill.web.context import bench_of
from waybill.web.rendering import page
from waybill.web.store.filters import Filter, State, predicate
from waybill.web.store.queries import (
    LabelRow,
    count_patterns,
    history,
    label_rows,
    list_patterns,
)


class Row(NamedTuple):
    """A row of the table of labels; ``change`` in percent, None without a day before."""

    label: str
    kind: str
    day: int
    hours: list[int]
    change: float | None
    query: str


class _Facts(NamedTuple):
    rows: list[LabelRow]
    counts: dict[State, int]
    first: list[sqlite3.Row]
    standing: int


class Total(NamedTuple):
    """Records of the last 24 hours, and of the 24 before."""

    records: int
    undecided: int
    records_before: int
    undecided_before: int


async def show(request: web.Request) -> web.Response:
    """The overview."""
    bench = bench_of(request)
    now = time.time()
    unsure = bench.settings.workbench.unsure_below
    facts = await bench.database.read(lambda connection: _read(connection, now, unsure))
    total = _total(facts.rows)
    return await page(
        request,
        "overview.html",
        f"{numbers.share(total.undecided, total.records)} undecided · Overview",
        rows=_rows(facts.rows, bench.taxonomy),
        total=total,
        counts=facts.counts,
        first_undecided=facts.first,
        standing=facts.standing,
        collect_secs=round(bench.settings.workbench.collect_secs),
    )


def _read(connection: sqlite3.Connection, now: float, unsure: float) -> _Facts:
    counts: dict[State, int] = {}
    states: tuple[State, ...] = ("undecided", "unsure", "new", "mixed")
    for state in states:
        where = predicate(Filter(states=(state,)), now, unsure)
        counts[state] = count_patterns(connection, where)
    first = list_patterns(connection, Filter(states=("undecided",)), now, unsure, most=5)
    standing = len(settle(history(connection)))
    return _Facts(label_rows(connection, now), counts, first.rows, standing)


def _total(rows: Sequence[LabelRow]) -> Total:
    records = undecided = before = undecided_before = 0
    for row in rows:
        records += row.day
        before += row.day_before
        if row.kind == "undecided":
            undecided += row.day
            undecided_before += row.day_before
    return Total(records, undecided, before, undecided_before)


def _rows(found: Sequence[LabelRow], taxonomy: Taxonomy) -> list[Row]:
    """In the order of the taxonomy, the undecided last."""
    order = {name: i for i, name in enumerate(taxonomy.names)}
    rows = []
    for row in sorted(found, key=lambda one: (one.kind, order.get(one.label, len(order)))):
        change = None
        if row.day_before:
            change = 100 * (row.day - row.day_before) / row.day_before
        wanted = Filter().query(label=row.label)
        if row.kind == "undecided":
            wanted = Filter(states=("undecided",)).query()
        rows.append(Row(row.label, row.kind, row.day, row.hours, change, wanted))
    return rows
