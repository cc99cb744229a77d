"""``/patterns/ID``: one pattern, why it has its label, and what somebody says about it."""

from __future__ import annotations

import sqlite3
import time
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from waybill.core.correction import Settled, withdrawal
from waybill.core.pattern import Pattern
from waybill.core.reason_words import reason_words
from waybill.web.context import Bench, bench_of, user_of
from waybill.web.rendering import page
from waybill.web.saying import GONE, say
from waybill.web.series import Chart, rate_chart
from waybill.web.spread import Spread, read_fleet, spread
from waybill.web.store.alike import Group, others_of
from waybill.web.store.changes import find_change
from waybill.web.store.corrections import (
    add_correction,
    changes_with,
    count_waiting,
    find_correction,
)
from waybill.web.store.events import Event, events_of
from waybill.web.store.filters import Filter, read_filter
from waybill.web.store.queries import (
    list_ids,
    list_patterns,
    one_pattern,
    patterns_with,
    records_of_day,
    standing,
)
from waybill.web.store.recording import pattern_of
from waybill.web.store.trends import rate_hours
from waybill.web.views.forms import read_form, see
from waybill.web.views.why import Way, why

TABS = (("way", "Why"), ("history", "History"), ("alike", "Read alike"))
_SPANS = {"24h": 24, "7d": 24 * 7, "90d": 24 * 90}
#: Patterns of the list that somebody came from, within which the next one is found.
_MOST_AROUND = 1000


class Found(NamedTuple):
    """A pattern with what the store knows about it."""

    row: sqlite3.Row
    pattern: Pattern
    counts: list[int]
    standings: list[Standing]
    records: int
    events: list[Event]
    alike: Group
    around: Around | None


class Standing(NamedTuple):
    """What somebody said and stands; the number of the change that brings it to the sidecars, and
    where that is (None: it waits to be applied).
    """

    said: Settled
    change: int | None
    spread: Spread | None


class Around(NamedTuple):
    """Where a pattern stands in a list, and its neighbours (empty at an end of the list)."""

    place: int
    all: int
    before: str
    after: str


async def show(request: web.Request) -> web.Response:
    """The page of a pattern; one that is not known is said so, with those that read alike."""
    bench = bench_of(request)
    pattern_id = request.match_info["id"]
    came_from = request.query.get("in")
    span = request.query.get("t", "")
    if span not in _SPANS:
        span = "24h"
    tab = request.query.get("tab", "")
    if tab not in dict(TABS):
        tab = "way"
    found = await _read(bench, pattern_id, came_from, _SPANS[span])
    if found is None:
        return await unknown(request, pattern_id)
    row = found.row
    return await page(
        request,
        "pattern.html",
        f"{_state(row)}: {row['mask'][:60]} · Pattern",
        row=row,
        pattern=found.pattern,
        standings=found.standings,
        records=found.records,
        verdict_total=sum(one.count for one in found.pattern.verdicts),
        source_total=sum(found.pattern.sources.values()) + found.pattern.other_sources,
        verdict_sentence=_sentence(row),
        waiting=await bench.database.read(count_waiting),
        chart=_chart(found),
        span=span,
        spans=tuple(_SPANS),
        tabs=TABS,
        tab=tab,
        events=found.events,
        alike=found.alike,
        around=found.around,
        came_from=came_from,
        trail=_trail(came_from or ""),
        said=request.query.get("said", ""),
        fault=request.query.get("fault", ""),
    )


async def why_part(request: web.Request) -> web.Response:
    """Why a pattern has its label: asked for by itself, for the first answer loads the model."""
    bench = bench_of(request)
    pattern_id = request.match_info["id"]
    row = await bench.database.read(lambda store: one_pattern(store, pattern_id))
    way = Way((), fault="This pattern is too old and no longer kept.")
    differs = ""
    if row is not None:
        pattern = pattern_of(row)
        known = (*pattern.examples, pattern.mask)
        way = await why(bench.engine, known[0], next(iter(pattern.sources), ""))
        differs = _difference(pattern, way)
    return await page(request, "why.html", "Why · Pattern", way=way, differs=differs)


def _difference(pattern: Pattern, way: Way) -> str:
    """Why this workbench would say another label than the sidecars did; empty where it says it."""
    said = [one.label for one in pattern.verdicts]
    if not way.label or not said or way.label in said:
        return ""
    return (
        f"The sidecars said {said[0]}; for the first example this workbench says {way.label}. "
        "Secrets are taken out of examples, and rules or model may be others here (see Sidecars)."
    )


def _chart(found: Found) -> Chart:
    marks = [(event.at, event.words) for event in found.events]
    basis = "Dashed lines: first seen, a change of label, a correction."
    return rate_chart(found.counts, time.time(), marks, basis)


def _trail(query: str) -> str:
    """The list that somebody came from, in a few words."""
    wanted = _filter(query)
    words = [*wanted.states, *(one.text for one in wanted.conditions)]
    if wanted.text:
        words.append(wanted.text)
    return ", ".join(words)


def _filter(query: str) -> Filter:
    pairs = parse_qsl(query)
    return read_filter(dict(pairs), pairs)


async def short(request: web.Request) -> web.Response:
    """``/p/ID``: what a link in Kibana or Grafana leads to."""
    raise see(request, f"/patterns/{request.match_info['id']}")


async def correct(request: web.Request) -> web.Response:
    """Record what somebody says about a pattern; all of its records get that label."""
    form = await read_form(request, "review")
    bench = bench_of(request)
    pattern_id = request.match_info["id"]
    rows = await bench.database.read(lambda store: patterns_with(store, [pattern_id]))
    label = form.get("label", "") or form.get("chosen", "")
    note = form.get("note", "")
    outcome = await say(bench, user_of(request).name, rows, label, note)
    query = {"said": f"Recorded: {label}. Nothing changes until it is applied."}
    if not outcome.done:
        query = {"fault": f"Not recorded: {next(iter(outcome.skipped), GONE)}"}
    if "in" in form:
        query["in"] = form["in"]
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
        sentence=f"No sidecar has reported {what[:64]}, or it is too old to be kept.",
        near=near.rows,
        near_heading="Most frequent undecided patterns",
    )


async def _read(bench: Bench, pattern_id: str, query: str | None, hours: int) -> Found | None:
    now = time.time()
    unsure = bench.settings.workbench.unsure_below

    def read(connection: sqlite3.Connection) -> Found | None:
        row = one_pattern(connection, pattern_id)
        if row is None:
            return None
        around = None
        if query is not None:
            wanted = _filter(query)
            ids = list_ids(connection, wanted, now, unsure, _MOST_AROUND)
            around = _around(ids, pattern_id)
        return Found(
            row=row,
            pattern=pattern_of(row),
            counts=rate_hours(connection, pattern_id, now, hours),
            standings=_standings(connection, pattern_id, now),
            records=records_of_day(connection, now),
            events=events_of(connection, row),
            alike=others_of(connection, row),
            around=around,
        )

    return await bench.database.read(read)


def _around(ids: list[str], pattern_id: str) -> Around | None:
    if pattern_id not in ids:
        return None
    place = ids.index(pattern_id)
    before = ids[place - 1] if place else ""
    after = ids[place + 1] if place + 1 < len(ids) else ""
    return Around(place + 1, len(ids), before, after)


def _standings(store: sqlite3.Connection, pattern_id: str, now: float) -> list[Standing]:
    changes = changes_with(store, pattern_id)
    fleet = read_fleet(store)
    found = []
    for one in standing(store, pattern_id):
        number = changes.get(one.correction.id)
        where = None
        if number is not None:
            row = find_change(store, number)
            where = spread(fleet, row, now) if row is not None else None
        found.append(Standing(one, number, where))
    return found


def _state(row: sqlite3.Row) -> str:
    return "Undecided" if row["kind"] in ("undecided", "not_asked") else str(row["label"])


def _sentence(row: sqlite3.Row) -> str:
    """Who decided, in a sentence."""
    if row["kind"] in ("undecided", "not_asked"):
        guess = ""
        if row["guess_label"]:
            guess = f"; the best guess is {row['guess_label']} ({row['guess_score']:.2f})"
        return f"Nobody decided: {reason_words(row['reason'] or 'undecided')}{guess}."
    if row["tier"] == "rule":
        return f"{row['label']}, by the rule {row['rule']}."
    if row["tier"] == "correction":
        return f"{row['label']}, by a correction."
    sure = f", {row['confidence']:.2f} sure" if row["confidence"] is not None else ""
    return f"{row['label']}, by the {row['tier']} {row['rule'] or ''}{sure}."
