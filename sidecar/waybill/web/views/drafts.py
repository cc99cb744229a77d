"""``/drafts``: what somebody is working on; it is saved while one types."""

from __future__ import annotations

import json
import time

from aiohttp import web

from waybill.web.context import bench_of, user_of
from waybill.web.store.drafts import Draft, drop_draft, find_draft, note_viewed, save_draft
from waybill.web.views.forms import read_form, see
from waybill.web.views.rules import Edited, editor, known_draft

#: Groups of a trial that may be noted as viewed.
_MOST_VIEWED = 200


async def show(request: web.Request) -> web.Response:
    """The editor with a draft."""
    number = int(request.match_info["number"])
    row = await bench_of(request).database.read(lambda store: find_draft(store, number))
    if row is None:
        raise see(request, "/rules", "fault=This+draft+is+gone.")
    return await editor(request, Edited(row["file"], row["text"], row["base"], number))


async def save(request: web.Request) -> web.Response:
    """Keep the text of the editor; answers with the number of the draft."""
    form = await read_form(request, "review")
    text = form.get("text", "").replace("\r\n", "\n")
    draft = Draft(
        user_of(request).name, time.time(), form.get("file", ""), text, form.get("base", "")
    )
    known = known_draft(form)
    number = await bench_of(request).database.write(lambda store: save_draft(store, known, draft))
    return web.json_response({"draft": number, "saved": draft.at})


async def viewed(request: web.Request) -> web.Response:
    """Note that a group of the trial was looked at, as it was then."""
    form = await read_form(request, "review")
    number = int(request.match_info["number"])
    group, mark = form.get("group", "")[:200], form.get("mark", "")[:64]
    database = bench_of(request).database
    row = await database.read(lambda store: find_draft(store, number))
    if row is None:
        raise web.HTTPNotFound(text="There is no such draft.\n")
    seen: dict[str, str] = json.loads(row["viewed"])
    seen.pop(group, None)
    if form.get("on"):
        seen[group] = mark
    told = json.dumps(dict(list(seen.items())[-_MOST_VIEWED:]))
    await database.write(lambda store: note_viewed(store, number, told))
    return web.json_response({"viewed": len(seen)})


async def discard(request: web.Request) -> web.Response:
    """Throw a draft away."""
    await read_form(request, "review")
    number = int(request.match_info["number"])
    await bench_of(request).database.write(lambda store: drop_draft(store, number))
    raise see(request, "/rules", "said=The+draft+is+gone%3B+nothing+was+changed.")
