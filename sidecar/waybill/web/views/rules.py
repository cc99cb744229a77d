"""``/rules``, ``/rules/edit``: rules in force, and the editor of the own ones."""

from __future__ import annotations

import functools
import json
import re
import sqlite3
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from aiohttp import web

from waybill.core.errors import WaybillError
from waybill.labelling.rules.draft import draft as draft_rule
from waybill.web import numbers
from waybill.web.context import Bench, bench_of, user_of
from waybill.web.difference import difference
from waybill.web.rendering import page
from waybill.web.rulebook import DEFAULT_FILE
from waybill.web.ruletext import (
    EXAMPLE,
    appended,
    in_shadow,
    pattern_of_mask,
    with_modes,
    with_pattern,
    with_sample,
)
from waybill.web.store.changes import Change, list_changes
from waybill.web.store.drafts import Draft, Known, find_draft, save_draft
from waybill.web.store.queries import one_pattern
from waybill.web.store.recording import pattern_of
from waybill.web.trials import Trial
from waybill.web.views.forms import read_form, see
from waybill.web.views.trial import told_of

#: Keys of a rule, for completion.
KEYS = (
    ("id", "a name of its own, told in records and metrics"),
    ("label", "one of the labels"),
    ("pattern", "a regular expression that finds the message"),
    ("where", "sources it is for: {source: [name, prefix-*]}"),
    ("mode", "enforce, or shadow: counts and decides nothing"),
    ("fields", "fields to add to the record"),
    ("match", "messages that this rule must decide"),
    ("no_match", "messages that it must not take"),
    ("description", "for people"),
)


#: More than this share of other patterns than were shown, and *Apply* says so first. Patterns, not
#: records: of those that were shown new records come every second.
_MOVED = 0.1
_MOST_DIGITS = 15
_MOMENT = re.compile(r"\d{1,15}(?:\.\d{1,20})?", re.ASCII)


async def edit(request: web.Request) -> web.Response:
    """The editor: of an own file, or of a draft made from a pattern or a message."""
    bench = bench_of(request)
    own = bench.rulebook.files()
    name = request.query.get("file", DEFAULT_FILE)
    text = own.get(name, "")
    drafted = await _drafted(bench, request.query)
    if drafted:
        text = appended(text, drafted)
    mode = request.query.get("mode", "")
    if mode in ("enforce", "shadow"):
        name, text, fault = with_modes(own, request.query.getall("rule", []), mode)
        if fault:
            raise see(request, "/rules", urlencode({"fault": fault}))
    if not text:
        text = EXAMPLE.format(label=bench.taxonomy.names[0])
    return await editor(request, name, text, with_try=bool(mode))


async def attempt(request: web.Request) -> web.Response:
    """*Try*: what the text would change over a day of records; *Apply* puts it there."""
    form = await read_form(request, "review")
    name = form.get("file", DEFAULT_FILE)
    text = form.get("text", "").replace("\r\n", "\n")
    bench = bench_of(request)
    if form.get("do") == "shadow":
        text, fault = in_shadow(bench.rulebook.files().get(name, ""), text)
        if fault:
            return await _editor(request, name, text, None, [fault], base=form.get("base", ""))
    if form.get("do") in ("apply", "shadow"):
        return await _apply(request, form, name, text)
    faults = []
    if form.get("keep_out"):
        rule, _, sample = form["keep_out"].partition(" ")
        kept = with_sample(text, rule, "no_match", sample)
        if kept is None:
            faults.append(f"The sample could not be put into rule {rule}: add it under no_match.")
        text = kept or text
    base = bench.rulebook.edition() if form.get("do") == "rebase" else form.get("base", "")
    draft = await _kept(request, form, Draft(user_of(request).name, time.time(), name, text, base))
    if faults:
        return await _editor(request, name, text, None, faults, draft=draft, base=base)
    return await editor(request, name, text, draft=draft, base=base, with_try=True)


async def _kept(request: web.Request, form: Mapping[str, str], draft: Draft) -> int:
    """Save what is tried; gives the number of the draft."""
    known = known_draft(form)
    return await bench_of(request).database.write(lambda store: save_draft(store, known, draft))


def known_draft(form: Mapping[str, str]) -> Known:
    """The draft that a form of the editor comes from."""
    number, at = numbers.read_whole(form.get("draft", "")), form.get("saved", "")
    if number is None:
        return Known(0, 0.0)
    return Known(number, float(at) if _MOMENT.fullmatch(at) else 0.0)


async def check(request: web.Request) -> web.Response:
    """Faults and warnings of a text, for the editor while one types."""
    form = await read_form(request, "read")
    said = await bench_of(request).rulebook.check(form.get("file", ""), form.get("text", ""))
    faults = [_told(one.line, one.detail, "error") for one in said.faults]
    warnings = [_told(one.line, one.detail, "warning") for one in said.warnings]
    words = "" if faults else f"{said.rules} rules, samples pass"
    return web.json_response({"faults": faults, "warnings": warnings, "words": words})


def _told(line: int | None, detail: str, severity: str) -> dict[str, object]:
    """A fault or a warning for the editor."""
    return {"line": line or 1, "detail": detail, "severity": severity}


async def _apply(
    request: web.Request, form: Mapping[str, str], name: str, text: str
) -> web.Response:
    bench = bench_of(request)
    if not user_of(request).may("apply"):
        raise web.HTTPForbidden(text="This needs the scope apply.\n")
    base = form.get("base", "")
    # What stood there when the text was begun, if nobody has changed anything since.
    before = bench.rulebook.files().get(name)
    show = functools.partial(_editor, request, name, text, draft=known_draft(form).number)
    moved = None
    if base == bench.rulebook.edition():
        said = await bench.rulebook.check(name, text)
        if said.faults:
            return await show(None, _named(said.faults, name))
        moved = await _moved(bench, form, name, text)
    if base != bench.rulebook.edition():  # perhaps only meanwhile
        return await show(None, [await _who_changed(bench)], base=base)
    if moved is not None:
        trial, words = moved
        return await show(trial, [words], base=base)
    made = Change(
        user_of(request).name,
        f"edit {name}",
        name,
        before,
        text,
        form.get("note", "")[:300],
        bench.settings.workbench.apply,
        time.time(),
    )
    try:
        number = await bench.travel.bring_rules(made)
    except WaybillError as error:
        return await show(None, [str(error)])
    raise see(request, f"/changes/{number}", urlencode({"said": "Recorded."}))


async def _moved(
    bench: Bench, form: Mapping[str, str], name: str, text: str
) -> tuple[Trial, str] | None:
    """A new trial with a sentence, where it says something else than the one that was shown."""
    before = numbers.read_whole(form.get("shown", ""), _MOST_DIGITS)
    if before is None:
        return None
    trial = await bench.trials.attempt(name, text)
    now = trial.found.changed_patterns if trial.found is not None else 0
    if not trial.is_done or abs(now - before) <= _MOVED * max(before, 1):
        return None
    words = (
        f"Not applied yet. Patterns that change: {before:,} when it was tried, {now:,} now. "
        "Look once more, and apply it then."
    )
    return trial, words


async def _drafted(bench: Bench, query: Mapping[str, str]) -> str:
    """A rule for a pattern or a message, as YAML; empty where none is asked for or can be made."""
    message = query.get("message", "")
    row = None
    if query.get("from"):
        row = await bench.database.read(lambda store: one_pattern(store, query["from"]))
    if row is not None:
        pattern = pattern_of(row)
        message = pattern.examples[0] if pattern.examples else pattern.mask
    if not message:
        return ""
    drafted = await draft_rule(message, bench.taxonomy.names)
    if drafted is None:
        return ""
    label = _label_for(row, bench.taxonomy.fallback) if row is not None else ""
    number = row["id"][:6] if row is not None else "new"
    if row is not None:
        pattern = pattern_of(row)
        found = pattern_of_mask(pattern.mask, pattern.examples)
        if found:
            drafted = with_pattern(drafted, found)
    return drafted.replace("my-rule", f"own-{number}").replace("YOUR LABEL", label or "YOUR LABEL")


def _label_for(row: sqlite3.Row, fallback: str) -> str:
    """The label that a draft begins with: what the pattern has, else what was nearest."""
    if row["kind"] == "decided" and row["label"] != fallback:
        return str(row["label"])
    return row["guess_label"] or ""


async def _who_changed(bench: Bench) -> str:
    """Why a text that began with another edition is not applied."""
    rows = await bench.database.read(lambda store: list_changes(store, most=1))
    who = "the files were changed on disk"
    if rows:
        ago = numbers.ago(rows[0]["at"], time.time())
        who = f"{rows[0]['author'] or 'somebody'} made change {rows[0]['number']} {ago}"
    return f"Not applied: {who}, since this text was begun. Rebase, look, and try again."


async def editor(
    request: web.Request,
    name: str,
    text: str,
    *,
    draft: int = 0,
    base: str = "",
    with_try: bool = False,
) -> web.Response:
    """The page of the editor; ``with_try`` shows what the text would do."""
    bench = bench_of(request)
    if not with_try:
        return await _editor(request, name, text, None, draft=draft, base=base)
    said = await bench.rulebook.check(name, text)
    faults = _named(said.faults, name)
    trial = None
    if not faults:
        trial = await bench.trials.attempt(name, text)
    warnings = _named(said.warnings, name)
    return await _editor(request, name, text, trial, faults, warnings, draft=draft, base=base)


def _words(bench: Bench) -> dict[str, object]:
    """What the editor completes."""
    return {
        "keys": [{"name": key, "says": says} for key, says in KEYS],
        "values": {"label": list(bench.taxonomy.names), "mode": ["enforce", "shadow"]},
    }


def _named(told: Sequence[object], name: str) -> list[str]:
    """What the compiler said, with the name of the file instead of its place on disk."""
    return [f"{name}:{words.partition(f'/{name}:')[2] or words}" for words in map(str, told)]


async def _editor(
    request: web.Request,
    name: str,
    text: str,
    trial: Trial | None,
    faults: list[str] | None = None,
    warnings: list[str] | None = None,
    *,
    draft: int = 0,
    base: str = "",
) -> web.Response:
    bench = bench_of(request)
    own = bench.rulebook.files()
    now = bench.rulebook.edition()
    row = await bench.database.read(lambda store: find_draft(store, draft))
    is_stale = bool(base) and base != now
    return await page(
        request,
        "rule_edit.html",
        f"Error: {name} · Rules" if faults else f"{name} · Rules",
        409 if is_stale and faults else 200,
        file=name,
        files=sorted({*own, name}),
        text=text,
        words=_words(bench),
        base=base or now,
        now_edition=now,
        is_stale=is_stale,
        draft=draft,
        saved=row["at"] if row else "",
        part="",
        trial=trial,
        told=await told_of(bench, trial, json.loads(row["viewed"]) if row else {}),
        faults=faults or [],
        warnings=warnings or [],
        lines=difference(own.get(name), text, name) if trial is not None else [],
    )
