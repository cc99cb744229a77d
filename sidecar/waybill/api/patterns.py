"""``GET /v1/patterns`` and ``GET /v1/sources``: what is said how often, and what is decided."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import cast

import msgspec
from aiohttp import web

from waybill.api.answers import as_json, in_turn, no_such
from waybill.api.labellings import LABELLING, of_labelling
from waybill.core.errors import MalformedError
from waybill.core.names import words
from waybill.core.pattern import encode
from waybill.patterns.node import NodePatterns, Page, SourcePage
from waybill.patterns.query import MOST_PATTERNS, Order, Query
from waybill.patterns.source_report import SourceReport

__all__ = ["CURSOR", "WORKERS", "routes"]

#: Where the next page begins; absent behind the last.
CURSOR = "Waybill-Cursor"
#: How many workers answered, of how many.
WORKERS = "Waybill-Workers"
_NDJSON = "application/x-ndjson"
_MOST_SOURCES = 200
_PARAMETERS = (
    "after",
    "id",
    "label",
    LABELLING,
    "limit",
    "order",
    "since",
    "source",
    "undecided",
)


def routes(nodes: Mapping[str, NodePatterns], unsure_below: float) -> list[web.RouteDef]:
    """Both endpoints; ``nodes`` by the name of the labelling, the first one's is ``""``."""

    async def list_patterns(request: web.Request) -> web.Response:
        """Patterns, one a line, what needs somebody first; a page at a time."""
        query = _query(request.query, unsure_below)
        page = await of_labelling(request.query.get(LABELLING, ""), nodes).page(query)
        body = b"".join(map(encode, page.patterns))
        headers = {WORKERS: _workers(page)}
        if page.cursor:
            headers[CURSOR] = page.cursor
        return web.Response(body=body, content_type=_NDJSON, headers=headers)

    async def list_sources(request: web.Request) -> web.Response:
        """The sources with the most records, their labels and the share that is undecided."""
        _check_names(request.query, (LABELLING, "limit"))
        limit = _limit(request.query, _MOST_SOURCES)
        page = await of_labelling(request.query.get(LABELLING, ""), nodes).sources(limit)
        sources = [_source(one) for one in page.sources]
        answer = {"sources": sources, "other": _source(page.other)}
        response = as_json(answer)
        response.headers[WORKERS] = _workers(page)
        return response

    return [
        web.get("/v1/patterns", in_turn(list_patterns)),
        web.get("/v1/sources", in_turn(list_sources)),
    ]


def _workers(page: Page | SourcePage) -> str:
    return f"{page.workers}/{page.of_workers}"


def _source(one: SourceReport) -> dict[str, object]:
    told = cast("dict[str, object]", msgspec.to_builtins(one))
    told["undecided_share"] = round(one.undecided_share, 4)
    return told


def _query(asked: Mapping[str, str], unsure_below: float) -> Query:
    _check_names(asked, _PARAMETERS)
    order = asked.get("order", "need")
    if order not in words(Order):
        raise MalformedError("fields", f"order is one of {', '.join(words(Order))}")
    return Query(
        order=cast("Order", order),
        limit=_limit(asked, MOST_PATTERNS),
        after=asked.get("after", ""),
        undecided=_switch(asked.get("undecided", "0")),
        since=_moment(asked.get("since", "0")),
        label=asked.get("label", ""),
        source=asked.get("source", ""),
        id=asked.get("id", "").lower(),
        unsure_below=unsure_below,
    )


def _check_names(asked: Mapping[str, str], names: tuple[str, ...]) -> None:
    unknown = sorted(set(asked) - set(names))
    if unknown:
        raise no_such(unknown[0], names)


def _limit(asked: Mapping[str, str], most: int) -> int:
    text = asked.get("limit", str(min(100, most)))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise MalformedError("fields", f"limit is a whole number from 1 to {most}")
    return int(text)


def _switch(text: str) -> bool:
    if text not in ("0", "1", "true", "false"):
        raise MalformedError("fields", "undecided is 1 or 0")
    return text in ("1", "true")


def _moment(text: str) -> float:
    """Unix seconds, seconds ago (``-3600``), or a date and time of ISO 8601."""
    expected = "since is Unix seconds, seconds ago (-3600), or a time such as 2026-11-26T10:00:00Z"
    try:
        secs = float(text)
    except ValueError:
        try:
            secs = datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError, OSError):
            raise MalformedError("fields", expected) from None
    if not -1e12 < secs < 1e12:
        raise MalformedError("fields", expected)
    return time.time() + secs if secs < 0 else secs
