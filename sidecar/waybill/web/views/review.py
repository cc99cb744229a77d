"""``/review``: the queue, one key per answer, and undo."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from aiohttp import web

from waybill.core.correction import Settled
from waybill.core.pattern import Pattern
from waybill.core.reason_words import reason_words
from waybill.web import numbers
from waybill.web.context import Bench, bench_of, user_of
from waybill.web.rendering import page
from waybill.web.saying import say, take_back
from waybill.web.store.alike import Group, others_of
from waybill.web.store.corrections import last_batch
from waybill.web.store.filters import Filter, predicate
from waybill.web.store.queries import one_pattern, records_of_day, standing, sum_of_days
from waybill.web.store.queue import QUEUES, Asked, Found, Queue, Sitting, read_queue, sitting
from waybill.web.store.recording import pattern_of
from waybill.web.views.forms import carried, read_form, see
from waybill.web.views.patterns import sources_of

#: Ids of items that were skipped stand in the form; so many at most.
_MOST_SKIPPED = 50
#: Records a day from which an answer wants its key twice, unless the address says another number.
_CONFIRM = 100_000
#: What an empty queue says: what would stand in it.
_EMPTY: dict[Queue, str] = {
    "undecided": "Nothing undecided is left to answer.",
    "unsure": "Nothing unsure is left to answer: the model's confidence is above "
    "workbench.unsure_below everywhere.",
    "new": "Nothing new is left to answer: no pattern came for the first time since yesterday.",
    "second": "Nobody disagrees. Patterns that two people corrected differently appear here.",
    "disagree": "Nothing is contradicted. Patterns whose rule or model disagrees with a "
    "correction appear here.",
}
_CARRIED = ("queue", "skipped", "started", "blind", "confirm")


class Item(NamedTuple):
    """What is asked, with all that helps to answer it."""

    row: sqlite3.Row
    pattern: Pattern
    alike: Group
    said: list[Settled]


class _Review(NamedTuple):
    found: Found
    item: Item | None
    sitting: Sitting
    can_undo: bool
    undecided: int
    records: int


async def show(request: web.Request) -> web.Response:
    """The first item of the queue, or the one that the address names."""
    query = request.query
    now = time.time()
    name = _queue(query.get("queue", ""))
    started = query.get("started", "")
    if not (started.isascii() and started.isdigit()):
        started = f"{now + 1:.0f}"
    found = await _read(request, name, float(started[:12]))
    row = found.item.row if found.item is not None else None
    left = found.found.rows
    state = {word: query.get(word, "") for word in _CARRIED} | {"queue": name, "started": started}
    return await page(
        request,
        "review.html",
        f"{numbers.count(len(left))} to answer · Review",
        queues=QUEUES,
        queue=name,
        state=state,
        item=found.item,
        row=row,
        sources=sources_of(pattern_of(row)) if row is not None else "",
        empty=_EMPTY[name],
        why=_why(row, name) if row is not None else "",
        found=found,
        left=left,
        weight_ten=sum(one["day_count"] for one in left[:10]),
        confirm=_confirm(query.get("confirm", "")),
        said=query.get("said", ""),
        fault=query.get("fault", ""),
    )


async def answer(request: web.Request) -> web.Response:
    """Take an answer; the next item follows."""
    form = await read_form(request, "review")
    state = {word: carried(form, word) for word in _CARRIED}
    pattern_id = form.get("pattern", "")
    if form.get("skip"):
        skipped = f"{state['skipped']},{pattern_id}".strip(",").split(",")
        state["skipped"] = ",".join(skipped[-_MOST_SKIPPED:])
        raise see(request, "/review", urlencode(state))
    fault, words = await _record(bench_of(request), user_of(request).name, form)
    state |= {"fault": fault, "at": pattern_id} if fault else {"said": words}
    raise see(request, "/review", urlencode(state))


async def undo(request: web.Request) -> web.Response:
    """Take the last answer back, and show its item again."""
    form = await read_form(request, "review")
    state = {word: carried(form, word) for word in _CARRIED}
    ids = await take_back(bench_of(request), user_of(request).name)
    state |= {"at": ids[0], "said": "Taken back."} if ids else {"fault": "Nothing to undo."}
    raise see(request, "/review", urlencode(state))


async def _record(bench: Bench, author: str, form: Mapping[str, str]) -> tuple[str, str]:
    """A sentence about why the answer is not taken, or nothing; and what was done."""
    pattern_id = form.get("pattern", "")

    def read(store: sqlite3.Connection) -> list[sqlite3.Row]:
        row = one_pattern(store, pattern_id)
        if row is None:
            return []
        return [row, *others_of(store, row).rows] if form.get("also") else [row]

    rows = await bench.database.read(read)
    if not rows:
        return "This pattern is too old and no longer kept.", ""
    label = rows[0]["label"] if form.get("right") else form.get("label", "")
    outcome = await say(bench, author, rows, label, form.get("note", ""))
    if not outcome.done:
        return next(iter(outcome.skipped), ""), ""
    return "", f"Saved. {outcome.sentence}"


async def _read(request: web.Request, name: Queue, started: float) -> _Review:
    bench = bench_of(request)
    now = time.time()
    unsure = bench.settings.workbench.unsure_below
    author = user_of(request).name
    asked = Asked(author, started, now, unsure)
    passed = set(request.query.get("skipped", "").split(","))
    wanted = request.query.get("at", "")
    open_ones = predicate(Filter(states=("undecided",)), now, unsure)

    def read(store: sqlite3.Connection) -> _Review:
        found = read_queue(store, name, asked)
        rows = [row for row in found.rows if row["id"] not in passed]
        first = one_pattern(store, wanted) if wanted else None
        if first is None and rows:
            first = rows[0]
        item = None
        if first is not None:
            said = standing(store, first["id"])
            item = Item(first, pattern_of(first), others_of(store, first), said)
        return _Review(
            found._replace(rows=rows),
            item,
            sitting(store, author, now),
            bool(last_batch(store, author)),
            sum_of_days(store, open_ones),
            records_of_day(store, now),
        )

    return await bench.database.read(read)


def _confirm(word: str) -> int:
    number = numbers.read_whole(word, 11)
    return number if number is not None else _CONFIRM


def _queue(word: str) -> Queue:
    for name, _ in QUEUES:
        if name == word:
            return name
    return "undecided"


def _why(row: sqlite3.Row, name: Queue) -> str:
    """Why this one is asked now, in words."""
    rate = numbers.rate(row["hour_rate"], row["day_count"])
    if name == "second":
        return f"Two people chose different labels for it, and it has {rate}."
    if name == "disagree":
        return f"A rule or the model disagrees with a correction, and it has {rate}."
    if row["kind"] == "not_asked":
        why = reason_words(row["reason"])
        return f"Nobody was asked ({why}): a tier is off or failed, so it comes last."
    if row["kind"] == "decided":
        sure = row["confidence"] or 0
        return f"It has {rate} and is {sure:.2f} sure; rate times uncertainty gives the order."
    return f"Nobody decides it, and it has {rate}: most of what is left; new ones count twice."
