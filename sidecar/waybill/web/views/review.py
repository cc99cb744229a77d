"""``/review``: the queue, one key per answer, and undo."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from aiohttp import web

from waybill.web import numbers
from waybill.web.context import Bench, bench_of, user_of
from waybill.web.rendering import page
from waybill.web.saying import say, take_back
from waybill.web.store.corrections import last_batch
from waybill.web.store.filters import Filter, Predicate, State, predicate
from waybill.web.store.queries import one_pattern, review_queue
from waybill.web.store.recording import pattern_of
from waybill.web.views.forms import read_form, see
from waybill.web.views.patterns import sources_of

QUEUES: tuple[tuple[State, str], ...] = (
    ("undecided", "Undecided"),
    ("unsure", "Unsure"),
    ("new", "New"),
)
#: Looked at for one page: what is answered next, and what the counts are of.
_MOST = 1000
#: Ids of items that were skipped stand in the form; so many at most.
_MOST_SKIPPED = 50


class _Queue(NamedTuple):
    rows: list[sqlite3.Row]
    answered: int
    can_undo: bool


async def show(request: web.Request) -> web.Response:
    """The first item of the queue."""
    bench = bench_of(request)
    name = _queue(request.query.get("queue", ""))
    skipped = request.query.get("skipped", "")
    found = await _read(bench, name, user_of(request).name)
    passed = set(skipped.split(","))
    rows = [row for row in found.rows if row["id"] not in passed]
    row = rows[0] if rows else None
    pattern = pattern_of(row) if row is not None else None
    weights = [one["day_count"] for one in rows]
    return await page(
        request,
        "review.html",
        f"{numbers.count(len(rows))} to answer · Review",
        queues=QUEUES,
        queue=name,
        row=row,
        example=pattern.examples[0] if pattern and pattern.examples else "",
        sources=sources_of(row) if row is not None else "",
        why=_why(row) if row is not None else "",
        answered=found.answered,
        can_undo=found.can_undo,
        left=len(rows),
        weight_total=sum(weights),
        weight_ten=sum(weights[:10]),
        skipped=skipped,
        said=request.query.get("said", ""),
        fault=request.query.get("fault", ""),
    )


async def answer(request: web.Request) -> web.Response:
    """Take an answer; the next item follows."""
    form = await read_form(request, "review")
    bench = bench_of(request)
    name = _queue(form.get("queue", ""))
    pattern_id = form.get("pattern", "")
    if form.get("skip"):
        skipped = [one for one in form.get("skipped", "").split(",") if one]
        following = ",".join([*skipped, pattern_id][-_MOST_SKIPPED:])
        raise see(request, "/review", urlencode({"queue": name, "skipped": following}))
    fault = await _record(bench, user_of(request).name, form)
    query = {"queue": name, "skipped": form.get("skipped", "")}
    query |= {"fault": fault} if fault else {"said": "Saved."}
    raise see(request, "/review", urlencode(query))


async def undo(request: web.Request) -> web.Response:
    """Take the last answer back, and show its item again."""
    form = await read_form(request, "review")
    ids = await take_back(bench_of(request), user_of(request).name)
    query = {"queue": _queue(form.get("queue", ""))}
    if not ids:
        raise see(request, "/review", urlencode({**query, "fault": "There is nothing to undo."}))
    raise see(request, "/review", urlencode({**query, "at": ids[0], "said": "Taken back."}))


async def _record(bench: Bench, author: str, form: Mapping[str, str]) -> str:
    """A sentence about why the answer is not taken, or nothing."""
    pattern_id = form.get("pattern", "")
    row = await bench.database.read(lambda store: one_pattern(store, pattern_id))
    if row is None:
        return "This pattern has aged out."
    label = row["label"] if form.get("right") else form.get("label", "")
    outcome = await say(bench, author, [row], label, form.get("note", ""))
    return "" if outcome.done else next(iter(outcome.skipped), "")


async def _read(bench: Bench, name: State, author: str) -> _Queue:
    now = time.time()
    unsure = bench.settings.workbench.unsure_below
    where: Predicate = predicate(Filter(states=(name,)), now, unsure)

    def read(store: sqlite3.Connection) -> _Queue:
        (answered,) = store.execute(
            "SELECT count(*) FROM answers WHERE author = ? AND at > ?", (author, now - 43_200)
        ).fetchone()
        can_undo = bool(last_batch(store, author))
        return _Queue(review_queue(store, where, _MOST), answered, can_undo)

    return await bench.database.read(read)


def _queue(word: str) -> State:
    for name, _ in QUEUES:
        if name == word:
            return name
    return "undecided"


def _why(row: sqlite3.Row) -> str:
    if row["kind"] == "decided":
        return (
            f"It has {numbers.rate(row['hour_rate'])} and the model is only "
            f"{row['confidence'] or 0:.2f} sure; rate times uncertainty orders the queue."
        )
    rate = numbers.rate(row["hour_rate"])
    return f"Nobody decides it, and it has {rate}: the most of what is left."
