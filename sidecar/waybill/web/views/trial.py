"""What a trial found, for the page of the editor and for those who wait for the rest of it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence

from aiohttp import web

from waybill.web import numbers
from waybill.web.context import Bench, bench_of
from waybill.web.difference import difference
from waybill.web.groups import Group, groups_of, matrix_of, warnings_of
from waybill.web.rendering import page
from waybill.web.ruletext import rule_ids
from waybill.web.series import Chart, effect_chart
from waybill.web.store.drafts import find_draft
from waybill.web.store.queries import hours_of, hours_of_label
from waybill.web.trials import Trial


async def show(request: web.Request) -> web.Response:
    """What was found by now in a trial; with ``part=progress`` only how far it is."""
    bench = bench_of(request)
    found = await bench.trials.again(request.match_info["key"])
    if found is None:
        found = Trial(None, 0.0, "This trial is no longer kept: press Try again.")
    draft = numbers.read_whole(request.query.get("draft", "")) or 0
    row = await bench.database.read(lambda store: find_draft(store, draft))
    before = bench.rulebook.files().get(found.file)
    return await page(
        request,
        "trial.html",
        "Trial · Rules",
        part=request.query.get("part", ""),
        draft=draft,
        trial=found,
        told=await told_of(bench, found, json.loads(row["viewed"]) if row else {}),
        lines=await bench.rulebook.read(difference, before, found.text, found.file),
    )


async def told_of(
    bench: Bench, trial: Trial | None, viewed: Mapping[str, str]
) -> dict[str, object]:
    """What a trial found, as its page shows it; empty without one."""
    if trial is None or trial.found is None:
        return {}
    text = trial.text
    groups = groups_of(trial.found, viewed)
    said = await bench.rulebook.check(trial.file, text)
    rules = said.compiled.rules if said.compiled is not None else ()
    return {
        "patterns": {rule.id: rule.pattern for rule in rules},
        "mine": set(await bench.rulebook.read(rule_ids, text)),
        "groups": groups,
        "matrix": matrix_of(trial.found, bench.taxonomy.names),
        "warnings": warnings_of(trial.found),
        "viewed": sum(group.is_viewed for group in groups),
        "chart": await bench.database.read(lambda store: _effect(store, groups)),
    }


def _effect(store: sqlite3.Connection, groups: Sequence[Group]) -> Chart | None:
    """Records by hour of the label that gets most, before and after; None where nothing changes."""
    if not groups:
        return None
    label, now = groups[0].new, time.time()
    before = hours_of_label(store, label, now)
    after = list(before)
    for group in groups:
        step = (group.new == label) - (group.old == label)
        if not step:
            continue
        ids = [row.id for row in group.rows]
        for counts in hours_of(store, ids, now).values():
            for i, count in enumerate(counts):
                after[i] = max(0, after[i] + step * count)
    basis = "Where values decide, all records of a pattern are counted."
    return effect_chart(before, after, now, label, basis)
