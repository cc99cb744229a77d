"""``/try`` and ``/find``: what would this line be, and which pattern is it?"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import NamedTuple

from aiohttp import web

from waybill.core.batch import MAX_SOURCE_CHARS
from waybill.core.errors import WaybillError
from waybill.core.pattern import kind_of, pattern_id
from waybill.core.records import Verdict
from waybill.web.context import bench_of
from waybill.web.rendering import page
from waybill.web.store.queries import one_pattern, patterns_reading
from waybill.web.views.forms import read_form, see

#: Lines of one try: an answer stays below a second.
MOST_LINES = 200
#: Empty lines between them are passed over, but not without end.
_MOST_LOOKED = 10_000
#: Characters of a line that are looked at to find its pattern.
_FOUND_CHARS = 20_000
#: Words of a mask that are looked for, and patterns that are shown for them.
_WORDS = 4
_ALIKE = 3


class Tried(NamedTuple):
    """A line and its verdict."""

    line: str
    label: str
    kind: str
    tier: str
    rule: str | None
    confidence: float | None
    reason: str | None
    guess_label: str | None
    guess_score: float | None
    #: That of the rule which decided; empty: none did.
    pattern: str


async def show(request: web.Request) -> web.Response:
    """The empty page; lines are sent, never put into an address."""
    return await _page(request, request.query.get("line", ""), "", [], 0.0, "")


async def label(request: web.Request) -> web.Response:
    """The lines of the form with their labels."""
    form = await read_form(request, "read")
    text = form.get("lines", "")
    source = form.get("source", "").strip()[:MAX_SOURCE_CHARS]
    looked_at = text.split("\n", _MOST_LOOKED)[:_MOST_LOOKED]
    lines = [line.rstrip("\r") for line in looked_at if line.strip()][:MOST_LINES]
    engine = bench_of(request).engine
    asked = [engine.read(line) for line in lines]
    lines = [message for _, message in asked]
    begin = time.perf_counter()
    try:
        verdicts = await engine.label(lines, [source or own for own, _ in asked])
        patterns = await engine.rule_patterns()
    except WaybillError as error:
        return await _page(request, text, source, [], 0.0, str(error))
    results = []
    for line, verdict in zip(lines, verdicts, strict=True):
        by_rule = (verdict.rule or "") if verdict.tier == "rule" else ""
        results.append(_tried(line, verdict, patterns.get(by_rule, "")))
    return await _page(request, text, source, results, time.perf_counter() - begin, "")


async def find(request: web.Request) -> web.Response:
    """To the pattern of a message; where it is not known, to those that read alike."""
    bench = bench_of(request)
    asked = request.query.get("message", "").strip()[:_FOUND_CHARS]
    if not asked:
        raise see(request, "/patterns")
    _, asked = bench.engine.read(asked)
    mask = bench.engine.mask_of(asked)
    known = (asked.lower(), pattern_id(mask))
    row = await bench.database.read(lambda store: _first(store, known))
    if row is not None:
        raise see(request, f"/patterns/{row['id']}")
    near = await bench.database.read(lambda store: _alike(store, mask))
    return await page(
        request,
        "message.html",
        "Not known · Find",
        heading="No sidecar has reported this line",
        sentence=f"Its pattern would be: {mask[:300]}",
        near=near,
        line=asked[:2000],
    )


def _first(store: sqlite3.Connection, ids: Sequence[str]) -> sqlite3.Row | None:
    """The first pattern of these ids that is known."""
    for one in ids:
        row = one_pattern(store, one)
        if row is not None:
            return row
    return None


def _alike(store: sqlite3.Connection, mask: str) -> list[sqlite3.Row]:
    """Patterns that share most of the longest words of ``mask``."""
    words = sorted(set(mask.split()), key=len, reverse=True)[:_WORDS]
    return patterns_reading(store, words, _ALIKE)


def _tried(line: str, verdict: Verdict, pattern: str) -> Tried:
    return Tried(
        line=line,
        label=verdict.label,
        kind=kind_of(verdict.reason),
        tier=verdict.tier,
        rule=verdict.rule,
        confidence=verdict.confidence,
        reason=verdict.reason,
        guess_label=verdict.guess,
        guess_score=verdict.confidence,
        pattern=pattern,
    )


async def _page(
    request: web.Request, lines: str, source: str, results: list[Tried], took: float, fault: str
) -> web.Response:
    engine = bench_of(request).engine
    return await page(
        request,
        "try.html",
        "Try",
        lines=lines,
        source=source,
        results=results,
        took=took,
        most=MOST_LINES,
        fault=fault,
        edition=engine.edition,
    )
