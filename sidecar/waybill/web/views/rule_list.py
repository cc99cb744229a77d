"""``/rules``: the rules in force in their order, what each does, and the drafts."""

from __future__ import annotations

from collections import Counter

from aiohttp import web

from waybill.core.errors import WaybillError
from waybill.web import numbers
from waybill.web.context import Bench, bench_of
from waybill.web.rendering import page
from waybill.web.rulestats import WORDS, RuleStats
from waybill.web.store.drafts import list_drafts

#: After so many seconds a browser looks again whether the rules were read.
_AGAIN_SECS = "2"
#: Rules of one page.
_PAGE = 200


async def show(request: web.Request) -> web.Response:
    """The rules in the order in which they are tried; ``state``, ``file`` and ``q`` narrow them.

    With ``sort=-day`` those that decide most come first. ``from`` leaves out those before.
    """
    bench = bench_of(request)
    counted, fault = await _counted(bench)
    found, is_being_read = counted or [], counted is None
    state, file = request.query.get("state", ""), request.query.get("file", "")
    own = bench.rulebook.files()
    text, sort = request.query.get("q", "").strip(), request.query.get("sort", "")
    near = [one for one in found if _is_near(one, file, text)]
    shown = _sorted([one for one in near if state in ("", one.state)], sort)
    begin = _begin(request.query.get("from", ""), len(shown))
    title = "Being read · Rules" if is_being_read else f"{numbers.count(len(shown))} rules"
    answer = await page(
        request,
        "rules.html",
        title,
        is_being_read=is_being_read,
        rules=shown[begin : begin + _PAGE],
        begin=begin,
        matching=len(shown),
        following=begin + _PAGE if begin + _PAGE < len(shown) else 0,
        all=len(found),
        counts=Counter(one.state for one in near),
        words=WORDS,
        state=state,
        file=file,
        text=text,
        sort=sort,
        own=own,
        drafts=await bench.database.read(list_drafts),
        folder=str(bench.rulebook.folder or ""),
        said=request.query.get("said", ""),
        fault=fault or request.query.get("fault", ""),
    )
    if is_being_read:
        answer.headers["Refresh"] = _AGAIN_SECS
    return answer


async def _counted(bench: Bench) -> tuple[list[RuleStats] | None, str]:
    """The rules, None while they are being read; and why they cannot be."""
    try:
        return await bench.rule_stats.read(), ""
    except WaybillError as error:
        return [], str(error)


def _begin(word: str, most: int) -> int:
    """How many rules are left out; a number that nobody gave leaves out none."""
    number = numbers.read_whole(word, 8) or 0
    return number if number < most else 0


def _is_near(one: RuleStats, file: str, text: str) -> bool:
    """Whether it is of ``file``, and each word of ``text`` is in its id, label, pattern or file."""
    rule = one.rule
    name = rule.file.rpartition("/")[2]
    told = " ".join((rule.id, rule.label, rule.pattern, name)).lower()
    return file in ("", name) and all(word in told for word in text.lower().split())


def _sorted(rules: list[RuleStats], sort: str) -> list[RuleStats]:
    """Those that decide most first, where somebody asks for it; else as they are."""
    return sorted(rules, key=lambda one: -one.decided) if sort == "-day" else rules
