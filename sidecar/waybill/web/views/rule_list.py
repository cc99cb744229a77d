"""``/rules``: the rules in force in their order, what each does, and the drafts."""

from __future__ import annotations

from collections import Counter

from aiohttp import web

from waybill.core.errors import WaybillError
from waybill.web import numbers
from waybill.web.context import bench_of
from waybill.web.rendering import page
from waybill.web.rulestats import WORDS, RuleStats
from waybill.web.store.drafts import list_drafts


async def show(request: web.Request) -> web.Response:
    """The rules in the order in which they are tried; ``state`` and ``file`` narrow them."""
    bench = bench_of(request)
    fault = request.query.get("fault", "")
    found: list[RuleStats] = []
    try:
        found = await bench.rule_stats.read()
    except WaybillError as error:
        fault = str(error)
    state, file = request.query.get("state", ""), request.query.get("file", "")
    own = bench.rulebook.files()
    shown = [one for one in found if _is_shown(one, state, file)]
    return await page(
        request,
        "rules.html",
        f"{numbers.count(len(shown))} rules",
        rules=shown,
        all=len(found),
        counts=Counter(one.state for one in found),
        words=WORDS,
        state=state,
        file=file,
        own=own,
        drafts=await bench.database.read(list_drafts),
        folder=str(bench.rulebook.folder or ""),
        said=request.query.get("said", ""),
        fault=fault,
    )


def _is_shown(one: RuleStats, state: str, file: str) -> bool:
    return state in ("", one.state) and file in ("", one.rule.file.rpartition("/")[2])
