"""``/``: what the services say, how much of it is decided, and what to do next."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlencode

from aiohttp import web

from waybill.core.correction import settle
from waybill.core.labels import Taxonomy
from waybill.web import numbers
from waybill.web.context import Bench, bench_of
from waybill.web.rendering import page
from waybill.web.series import undecided_chart
from waybill.web.store.facets import facets
from waybill.web.store.filters import Filter, State
from waybill.web.store.queries import (
    LabelRow,
    first_hour,
    history,
    label_rows,
    list_patterns,
)
from waybill.web.store.trends import Hour, Moves, moves, undecided_hours

_SPANS = {"24h": 24, "7d": 24 * 7}
#: Lines of each kind of change.
_MOST_MOVES = 5
#: Data of so many hours are compared with the day before: where that is half there, nothing looks
#: three times as much for this reason alone.
_LEAST_HOURS = 36
_NO_DAY_BEFORE = "nothing to compare with yet"


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
    hours: list[Hour]
    since: float | None


class Total(NamedTuple):
    """Records of the last 24 hours, and of the 24 before."""

    records: int
    undecided: int
    records_before: int
    undecided_before: int


async def show(request: web.Request) -> web.Response:
    """The overview of the hours up to now, or up to the time that the address names."""
    bench = bench_of(request)
    until = _until(request.query.get("to", ""))
    now = until or time.time()
    span = "7d" if request.query.get("t") == "7d" else "24h"
    unsure = bench.settings.workbench.unsure_below
    facts = await bench.database.read(lambda store: _read(store, now, unsure, _SPANS[span]))
    moved = await _moves(bench, until)
    total = _total(facts.rows)
    has_day_before = _has_hours(facts.since, now, 47)
    is_comparable = _has_hours(facts.since, now, _LEAST_HOURS)
    basis = ""
    if any(hour.low is not None for hour in facts.hours):
        basis = "The grey band is what the same hour had in the seven days before."
    return await page(
        request,
        "overview.html",
        _title(total),
        rows=_rows(facts.rows, bench.taxonomy, has_day_before=has_day_before),
        has_day_before=has_day_before,
        age=_age(facts.since, now),
        total=total,
        is_comparable=is_comparable,
        sentence=_sentence(total) if is_comparable else _NO_DAY_BEFORE,
        counts=facts.counts,
        first_undecided=facts.first,
        standing=facts.standing,
        agreement=bench.engine.agreement,
        moves=moved,
        since=facts.since,
        chart=undecided_chart(facts.hours, basis),
        span=span,
        until=until,
        link=urlencode({"t": span, "to": numbers.iso(now)}),
        collect_secs=round(bench.settings.workbench.collect_secs),
        sidecars=bench.settings.workbench.sidecars,
    )


def _title(total: Total) -> str:
    if not total.records:
        return "No records · Overview"
    return f"{numbers.share(total.undecided, total.records)} undecided · Overview"


async def _moves(bench: Bench, until: float | None) -> Moves:
    """What differs from the day before; of now it is counted once a minute."""
    if until is not None:
        return await bench.database.read(lambda store: moves(store, until, _MOST_MOVES))
    now = time.time()
    return await bench.moves.get(
        lambda: bench.database.read(lambda store: moves(store, now, _MOST_MOVES))
    )


def _sentence(total: Total) -> str:
    """How the undecided share moved, in words."""
    if not total.records_before or not total.records:
        return _NO_DAY_BEFORE
    now = 100 * total.undecided / total.records
    points = now - 100 * total.undecided_before / total.records_before
    if abs(points) < 0.05:
        return "as much as the day before"
    return f"{abs(points):.1f} points {'more' if points > 0 else 'less'} than the day before"


def _age(since: float | None, now: float) -> str:
    """For how long there are data; empty where it is a day or more."""
    past = now - since if since is not None else numbers.DAY
    if past >= numbers.DAY:
        return ""
    return numbers.span(past)


def _until(word: str) -> float | None:
    """The end of what is shown, from RFC 3339; None: now."""
    try:
        moment = datetime.fromisoformat(word)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo is not None else None


def _read(connection: sqlite3.Connection, now: float, unsure: float, hours: int) -> _Facts:
    counts = facets(connection, Filter(), now, unsure).states
    first = list_patterns(connection, Filter(states=("undecided",)), now, unsure, most=5)
    standing = len(settle(history(connection)))
    return _Facts(
        label_rows(connection, now),
        counts,
        first.rows,
        standing,
        undecided_hours(connection, now, hours),
        first_hour(connection),
    )


def _total(rows: Sequence[LabelRow]) -> Total:
    records = undecided = before = undecided_before = 0
    for row in rows:
        records += row.day
        before += row.day_before
        if row.kind == "undecided":
            undecided += row.day
            undecided_before += row.day_before
    return Total(records, undecided, before, undecided_before)


def _has_hours(since: float | None, now: float, hours: int) -> bool:
    """Whether there are data of so many hours; 47 are two days but for the hour that has begun."""
    return since is not None and since <= now - hours * 3600


def _rows(found: Sequence[LabelRow], taxonomy: Taxonomy, *, has_day_before: bool) -> list[Row]:
    """In the order of the taxonomy, the undecided last."""
    order = {name: i for i, name in enumerate(taxonomy.names)}
    rows = []
    for row in sorted(found, key=lambda one: (one.kind, order.get(one.label, len(order)))):
        change = None
        if row.day_before and has_day_before:
            change = 100 * (row.day - row.day_before) / row.day_before
        wanted = Filter().query(label=row.label)
        if row.kind == "undecided":
            wanted = Filter(states=("undecided",)).query()
        rows.append(Row(row.label, row.kind, row.day, row.hours, change, wanted))
    return rows
