"""``/changes``: what was changed, on how many nodes it is in force, and the way back."""

from __future__ import annotations

import sqlite3
import time
from typing import NamedTuple
from urllib.parse import urlencode

from aiohttp import web

from waybill.core.correction import Correction, withdrawal
from waybill.core.errors import WaybillError
from waybill.core.pattern import pattern_id
from waybill.labelling.rules.texts import is_file_name
from waybill.web import numbers
from waybill.web.context import Bench, bench_of, user_of
from waybill.web.difference import difference
from waybill.web.rendering import page
from waybill.web.spread import Spread, read_fleet, sentences, spread
from waybill.web.store.changes import (
    CORRECTIONS_FILE,
    Change,
    find_change,
    list_changes,
    undone_by,
)
from waybill.web.store.corrections import add_correction, lines_of_change
from waybill.web.store.queries import history
from waybill.web.views.forms import read_form, see
from waybill.web.ways import NotWrittenError

_PAGE = 100
#: Lines of a difference that the page shows; the download has all.
_MOST_LINES = 2000
#: Corrections of a change that the page lists.
_MOST_SAID = 200


class ChangeRow(NamedTuple):
    """A change and where it is."""

    row: sqlite3.Row
    spread: Spread


async def show(request: web.Request) -> web.Response:
    """What was changed, newest first."""
    before = numbers.read_whole(request.query.get("after", ""), 11)

    def read(store: sqlite3.Connection) -> list[ChangeRow]:
        rows = list_changes(store, before, _PAGE + 1)
        where = sentences(read_fleet(store), rows, time.time())
        return [ChangeRow(row, where[row["number"]]) for row in rows]

    rows = await bench_of(request).database.read(read)
    following = rows[_PAGE - 1].row["number"] if len(rows) > _PAGE else None
    failed = sum(one.spread.state in ("failed", "partly", "late") for one in rows[:_PAGE])
    title = f"({failed} not everywhere) Changes" if failed else "Changes"
    return await page(request, "changes.html", title, rows=rows[:_PAGE], following=following)


async def change(request: web.Request) -> web.Response:
    """One change with its difference, and the way to take it back or bring it."""
    row = await _change(request)
    where = await bench_of(request).database.read(
        lambda store: spread(read_fleet(store), row, time.time())
    )
    lines = await _lines(request, row)
    said, taken_back_by = await bench_of(request).database.read(lambda store: _about(store, row))
    state = f"({len(where.refused)} refused) " if where.refused else ""
    return await page(
        request,
        "change.html",
        f"{state}Change {row['number']}",
        row=row,
        spread=where,
        lines=lines[:_MOST_LINES],
        more_lines=max(0, len(lines) - _MOST_LINES),
        corrections=[(one, pattern_id(one.mask)) for one in said[:_MOST_SAID]],
        more_said=max(0, len(said) - _MOST_SAID),
        undone_by=taken_back_by,
        said=request.query.get("said", ""),
        fault=request.query.get("fault", ""),
    )


async def _lines(request: web.Request, row: sqlite3.Row) -> list[str]:
    """The difference that a change makes."""
    texts = row["before"], row["after"], row["file"]
    return await bench_of(request).rulebook.read(difference, *texts)


def _about(store: sqlite3.Connection, row: sqlite3.Row) -> tuple[list[Correction], int | None]:
    """The corrections that a change brought, and the number of the change that took it back."""
    said = lines_of_change(store, row["number"]) if row["file"] == CORRECTIONS_FILE else []
    return said, undone_by(store, row["number"])


async def download(request: web.Request) -> web.Response:
    """The change as a unified diff, for the repository that owns the rules."""
    row = await _change(request)
    text = "".join(f"{line}\n" for line in await _lines(request, row))
    name = f"change-{row['number']}.patch"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(text=text, content_type="text/x-diff", headers=headers)


async def apply_corrections(request: web.Request) -> web.Response:
    """Let every correction that waits travel to the sidecars."""
    form = await read_form(request, "apply")
    made = _of_corrections(request, "apply corrections", form.get("note", "")[:300])
    try:
        number = await bench_of(request).travel.bring_corrections(made)
    except WaybillError as error:
        raise see(request, "/corrections", urlencode({"fault": str(error)})) from None
    if number is None:
        raise see(request, "/corrections", urlencode({"said": "No correction waits."}))
    raise see(request, f"/changes/{number}", urlencode({"said": f"{_sent(request)}."}))


def _sent(request: web.Request) -> str:
    """What becomes of a change that was just made."""
    if bench_of(request).settings.workbench.apply == "patch":
        return "A patch is made, and nothing changes until somebody brings it"
    return "On its way"


async def undo(request: web.Request) -> web.Response:
    """A change of its own that puts back what stood before."""
    await read_form(request, "apply")
    row = await _change(request)
    bench = bench_of(request)
    try:
        number = await _undo(request, bench, row)
    except WaybillError as error:
        query = urlencode({"fault": str(error)})
        raise see(request, f"/changes/{row['number']}", query) from None
    if number is None:
        query = urlencode({"fault": "There is nothing left of it to take back."})
        raise see(request, f"/changes/{row['number']}", query)
    said = f"{_sent(request)}: it takes back change {row['number']}."
    raise see(request, f"/changes/{number}", urlencode({"said": said}))


async def _undo(request: web.Request, bench: Bench, row: sqlite3.Row) -> int | None:
    """The number of the change that takes it back; None: nothing is left to take back.

    Raises WaybillError: it cannot be taken back, with the reason.
    """
    author = user_of(request).name
    if row["file"] != CORRECTIONS_FILE and not is_file_name(row["file"]):
        raise NotWrittenError(
            "this is not a change of rules or corrections: go back on its own page"
        )
    if row["file"] != CORRECTIONS_FILE:
        made = Change(
            author=author,
            what=f"undo {row['what']}",
            file=row["file"],
            before=row["after"],
            after=row["before"],
            note="",
            way=bench.travel.way,
            at=time.time(),
            undoes=row["number"],
        )
        return await bench.travel.bring_rules(made)

    def withdraw(store: sqlite3.Connection) -> None:
        gone = {line.withdraws for line in history(store)}
        for line in lines_of_change(store, row["number"]):
            if line.withdraws is None and line.id not in gone:
                add_correction(store, withdrawal(line, by=author, note=f"undo {row['number']}"))

    await bench.database.write(withdraw)
    made = _of_corrections(request, f"undo {row['what']}", "", row["number"])
    return await bench.travel.bring_corrections(made)


def _of_corrections(
    request: web.Request, what: str, note: str, undoes: int | None = None
) -> Change:
    """A change of corrections; its lines are those that wait."""
    author = user_of(request).name
    return Change(
        author=author,
        what=what,
        file=CORRECTIONS_FILE,
        before="",
        after="",
        note=note,
        way="",
        at=time.time(),
        undoes=undoes,
    )


async def _change(request: web.Request) -> sqlite3.Row:
    number = int(request.match_info["number"])
    row = await bench_of(request).database.read(lambda store: find_change(store, number))
    if row is None:
        raise web.HTTPNotFound(text="There is no such change.\n")
    return row
