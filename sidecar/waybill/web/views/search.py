"""``/-/search``: what the field in the header finds while one types, in groups."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from aiohttp import web

from waybill.web.context import Bench, bench_of
from waybill.web.labels import faces
from waybill.web.store.filters import Filter
from waybill.web.store.queries import list_patterns, names_like
from waybill.web.text import plain, shortened

#: Items of a group, and characters that are looked at.
_MOST = 8
_MOST_CHARS = 300
#: A longer text is a line that somebody pasted; so is one with a blank and a digit.
_LINE_CHARS = 40
#: Characters of a pattern that are shown.
_SHOWN_CHARS = 80


class Item(NamedTuple):
    """One thing that was found, and its page."""

    words: str
    where: str


class Group(NamedTuple):
    """Things of one kind."""

    name: str
    items: Sequence[Item]


async def search(request: web.Request) -> web.Response:
    """Groups of what has the text of ``q`` in it; a line that was pasted comes first."""
    bench = bench_of(request)
    asked = request.query.get("q", "").strip()[:_MOST_CHARS]
    groups = await _groups(bench, asked) if asked else []
    told: list[dict[str, object]] = []
    for group in groups:
        items = list(map(Item._asdict, group.items))
        if items:
            told.append({"name": group.name, "items": items})
    return web.json_response({"groups": told}, headers={"Cache-Control": "no-store"})


async def _groups(bench: Bench, asked: str) -> list[Group]:
    url = bench.templates.url

    def read(store: sqlite3.Connection) -> tuple[list[sqlite3.Row], list[str], list[str]]:
        found = list_patterns(store, Filter(text=asked), time.time(), 0.0, most=_MOST)
        sources = names_like(store, "source", asked, _MOST)
        return found.rows, sources, names_like(store, "node", asked, _MOST)

    rows, sources, nodes = await bench.database.read(read)
    line = Item("Find this log line", url("/find", urlencode({"message": asked})))
    patterns: list[Item] = []
    for row in rows:
        words = shortened(plain(row["mask"]), _SHOWN_CHARS)
        patterns.append(Item(words, url(f"/patterns/{row['id']}")))
    groups = [
        Group("Patterns", patterns),
        Group("Rules", _listed(bench, "rule", _having(asked, bench.engine.known_rules()))),
        Group("Sources", _listed(bench, "source", sources)),
        Group("Labels", _listed(bench, "label", _labels(bench, asked))),
        Group("Sidecars", _listed(bench, "node", nodes)),
    ]
    groups.insert(0 if is_line(asked) else len(groups), Group("Log line", [line]))
    return groups


def is_line(asked: str) -> bool:
    """Whether a text looks like a log line that was pasted."""
    has_both = " " in asked and any(map(str.isdigit, asked))
    return len(asked) > _LINE_CHARS or has_both


def _listed(bench: Bench, member: str, names: Iterable[str]) -> list[Item]:
    """The lists of patterns that have these names."""
    found: list[Item] = []
    for name in names:
        where = bench.templates.url("/patterns", urlencode({member: name}))
        found.append(Item(shortened(plain(name), _SHOWN_CHARS), where))
    return found


def _labels(bench: Bench, asked: str) -> list[str]:
    """Labels whose name or code has the text in it."""
    folded = asked.casefold()
    known = faces(bench.taxonomy).in_order()
    found = [one.name for one in known if folded in f"{one.name}\n{one.code}".casefold()]
    return found[:_MOST]


def _having(asked: str, names: Iterable[str]) -> list[str]:
    folded = asked.casefold()
    return [name for name in names if folded in name.casefold()][:_MOST]
