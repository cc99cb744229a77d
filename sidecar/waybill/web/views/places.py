"""``/sources`` and ``/nodes``: where records come from, and who labels them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aiohttp import web

from waybill.web import numbers
from waybill.web.collect import AHEAD
from waybill.web.context import bench_of
from waybill.web.rendering import page
from waybill.web.spread import refusals
from waybill.web.store.queries import node_rows
from waybill.web.store.source_sums import SourcePage, labels_of_sources, source_rows
from waybill.web.views.forms import read_form, see

_MOST_SOURCES = 200


class Part(NamedTuple):
    """A label's part of a bar, in percent; ``is_open``: nobody decided."""

    label: str
    is_open: bool
    start: float
    width: float


class Source(NamedTuple):
    """A row of the table of sources; records are of the last 24 hours."""

    source: str
    records: float
    undecided: float
    new: int
    patterns: int
    parts: list[Part]
    words: str


class Node(NamedTuple):
    """A row of the table of nodes."""

    name: str
    fault: str
    answer_head: str
    refused: str
    versions: Mapping[str, str]
    clock: str
    patterns: int
    answered_at: float | None


async def sources(request: web.Request) -> web.Response:
    """Every source with the labels that it produces."""
    bench = bench_of(request)

    def read(store: sqlite3.Connection) -> tuple[SourcePage, list[Source]]:
        found = source_rows(store, _MOST_SOURCES, request.query.get("after", ""))
        labels = labels_of_sources(store, [row["source"] for row in found.rows])
        return found, [_source(row, labels[row["source"]]) for row in found.rows]

    found, rows = await bench.database.read(read)
    title = f"{numbers.count(found.total)} · Sources"
    return await page(request, "sources.html", title, rows=rows, found=found)


async def nodes(request: web.Request) -> web.Response:
    """Every sidecar, those that do not answer first."""
    rows = []
    failing = 0
    for row in await bench_of(request).database.read(node_rows):
        rows.append(_node(row))
        if row["fault"]:
            failing += 1
    title = f"({failing} failing) Sidecars" if failing else "Sidecars"
    collect_secs = round(bench_of(request).settings.workbench.collect_secs)
    said = request.query.get("said", "")
    return await page(request, "nodes.html", title, rows=rows, collect_secs=collect_secs, said=said)


async def ask_again(request: web.Request) -> web.Response:
    """Ask every sidecar now."""
    form = await read_form(request, "read")
    bench_of(request).collector.ask_again()
    change = form.get("change", "")
    if numbers.read_whole(change) is not None:
        raise see(request, f"/changes/{change}", "said=Every+sidecar+is+asked.")
    raise see(request, "/nodes", "said=Every+sidecar+is+asked.")


def _source(row: sqlite3.Row, labels: Sequence[sqlite3.Row]) -> Source:
    total = sum(one["records"] for one in labels) or 1
    start = 0.0
    parts = []
    words = []
    for one in labels:
        width = 100 * one["records"] / total
        label = "Undecided" if one["is_open"] else one["label"]
        parts.append(Part(label, bool(one["is_open"]), start, width))
        words.append(f"{label} {numbers.share(one['records'], total)}")
        start += width
    return Source(
        row["source"],
        row["records"],
        row["undecided"],
        row["new"],
        row["patterns"],
        parts,
        ", ".join(words),
    )


def _node(row: sqlite3.Row) -> Node:
    edition = json.loads(row["edition"])
    versions = {}
    for name in ("rules", "model", "corrections"):
        versions[name] = _version(edition.get(name))
    return Node(
        name=row["name"],
        fault=row["fault"].removeprefix(f"{row['address']} "),
        answer_head=row["answer_head"],
        refused=refusals(edition),
        versions=versions,
        clock=_clock(edition.get(AHEAD)),
        patterns=row["patterns"],
        answered_at=row["answered_at"],
    )


def _clock(ahead_secs: object) -> str:
    """How far a node's clock is wrong, in words; empty: it is right."""
    if not isinstance(ahead_secs, float) or not ahead_secs:
        return ""
    way = "ahead" if ahead_secs > 0 else "behind"
    return f"its clock is {numbers.span(abs(ahead_secs))} {way}: times are shown by ours"


def _version(part: object) -> str:
    if isinstance(part, dict):
        part = part.get("version")
    return str(part)[:40] if part else "-"
