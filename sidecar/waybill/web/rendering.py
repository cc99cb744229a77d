"""Whole pages: what every page has in common, and a template for the rest."""

from __future__ import annotations

import time
from typing import NamedTuple

from aiohttp import web

from waybill.web.context import BENCHES, HAS_EDITOR, NONCE, bench_of, user_of
from waybill.web.labels import faces
from waybill.web.parameters import unknown_parameters
from waybill.web.store.nodes import health

_EDITOR = "rule_edit.html"


async def page(
    request: web.Request, template: str, title: str, status: int = 200, **values: object
) -> web.Response:
    """A whole page; ``title`` names the state first."""
    bench = bench_of(request)
    now = time.time()
    request[HAS_EDITOR] = template == _EDITOR
    common: dict[str, object] = {
        "title": title,
        "path": request.path.removeprefix(bench.base_path) or "/",
        "user": user_of(request),
        "is_open": bench.door.is_open,
        "form_token": bench.door.form_token(request),
        "nonce": request[NONCE],
        "theme": _theme(request),
        "keys_switch": "off" if request.cookies.get("waybill_keys") == "off" else "on",
        "zone": _zone(request),
        "density": "compact" if request.cookies.get("waybill_density") == "compact" else "",
        "unknown": unknown_parameters(template, request.query),
        "faces": faces(bench.taxonomy),
        "fallback": bench.taxonomy.fallback,
        "health": await bench.database.read(health),
        "stale_secs": 3 * bench.settings.workbench.collect_secs,
        "way": bench.settings.workbench.apply,
        "now": now,
        "tax": bench.labelling,
        "labellings": _labellings(request),
        "posted": await _way_back(request, values.get("draft")),
    }
    body = bench.templates.render(template, {**common, **values})
    return web.Response(text=body, content_type="text/html", status=status)


async def _way_back(request: web.Request, draft: object) -> str:
    """The address that stands for an answer to a form, which no browser keeps (``no-store``): who
    comes back to it would be told to send the form once more. Empty for other pages.
    """
    if request.method != "POST":
        return ""
    url = bench_of(request).templates.url
    if draft:
        return url(f"/drafts/{draft}")
    found = await request.app.router.resolve(request.clone(method="GET"))
    return request.path_qs if found.http_exception is None else url("/")


class Labelling(NamedTuple):
    """A labelling of the switch: what it is called, and where this page is for it."""

    shown: str
    address: str
    is_current: bool


def _labellings(request: web.Request) -> list[Labelling]:
    """All labellings; empty while there is one."""
    benches = request.app[BENCHES]
    if len(benches) == 1:
        return []
    here = bench_of(request)
    path = request.path.removeprefix(here.base_path) or "/"
    if not path.startswith("/patterns/"):
        # Numbers of files, drafts and changes are those of one labelling.
        path = f"/{path.split('/')[1]}"
    found = []
    for name, bench in benches.items():
        shown = name or bench.settings.fields.label
        found.append(Labelling(shown, bench.templates.url(path), bench is here))
    return found


def _zone(request: web.Request) -> str:
    """Whose times a browser shows: ``utc``, or ``local`` where somebody chose its own."""
    chosen = request.query.get("tz") or request.cookies.get("waybill_zone", "")
    return "local" if chosen == "local" else "utc"


def _theme(request: web.Request) -> str:
    """The theme that somebody chose on an earlier page; empty: as the system has it."""
    chosen = request.cookies.get("waybill_theme", "")
    return chosen if chosen in ("light", "dark") else ""
