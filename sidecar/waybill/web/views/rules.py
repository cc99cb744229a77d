"""``/rules``, ``/rules/edit``: rules in force, and the editor of the own ones."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from aiohttp import web

from waybill.core.correction import settle
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
from waybill.web.store.queries import history_of, one_pattern
from waybill.web.store.recording import pattern_of
from waybill.web.trials import Trial
from waybill.web.views.forms import read_form, see
from waybill.web.views.trial import told_of

#: Keys of a rule, for completion.
KEYS = (
    ("id", "a unique name, shown in records and metrics"),
    ("label", "one of the labels"),
    ("pattern", "a regular expression that finds the message"),
    ("where", "sources it is for: {source: [name, prefix-*]}"),
    ("mode", "enforce, or shadow: counts and decides nothing"),
    ("fields", "fields to add to the record"),
    ("match", "messages that this rule must decide"),
    ("no_match", "messages that this rule must not match"),
    ("description", "for people"),
)


#: More than this share of other patterns than were shown, and *Apply* says so first. Patterns, not
#: records: of those that were shown new records come every second.
_MOVED = 0.1
_MOST_DIGITS = 15
_MOMENT = re.compile(r"\d{1,15}(?:\.\d{1,20})?", re.ASCII)


class Edited(NamedTuple):
    """A text of the editor; ``base`` is the edition that it began with ("": the present one),
    ``draft`` the number of what was kept of it (0: nothing).
    """

    file: str
    text: str
    base: str = ""
    draft: int = 0


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
        rules = request.query.getall("rule", [])
        name, text, fault = await bench.rulebook.read(with_modes, own, rules, mode)
        if fault:
            raise see(request, "/rules", urlencode({"fault": fault}))
    if not text:
        text = EXAMPLE.format(label=bench.taxonomy.names[0])
    edited = Edited(name, text)
    if mode:
        return await tried(request, edited)
    return await editor(request, edited)


async def attempt(request: web.Request) -> web.Response:
    """*Try*: what the text would change over a day of records; *Apply* puts it there, *Shadow* with
    new rules that only count.
    """
    form = await read_form(request, "review")
    bench = bench_of(request)
    text = form.get("text", "").replace("\r\n", "\n")
    number = known_draft(form).number
    edited = Edited(form.get("file", DEFAULT_FILE), text, form.get("base", ""), number)
    wish = form.get("do")
    if wish == "shadow":
        before = bench.rulebook.files().get(edited.file, "")
        text, fault = await bench.rulebook.read(in_shadow, before, text)
        edited = edited._replace(text=text)
        if fault:
            return await editor(request, edited, faults=[fault])
    if wish in ("apply", "shadow"):
        return await _apply(request, form, edited)
    if wish == "rebase":
        edited = edited._replace(base=bench.rulebook.edition())
    refused = []
    if form.get("keep_out"):
        rule, _, sample = form["keep_out"].partition(" ")
        kept = await bench.rulebook.read(with_sample, text, rule, "no_match", sample)
        if kept is None:
            refused = [f"The sample could not be put into rule {rule}: add it under no_match."]
        edited = edited._replace(text=kept or text)
    edited = await _save(request, form, edited)
    if refused:
        return await editor(request, edited, faults=refused)
    return await tried(request, edited)


async def _save(request: web.Request, form: Mapping[str, str], edited: Edited) -> Edited:
    """Keep what is tried, with the number under which it is kept."""
    known = known_draft(form)
    draft = Draft(user_of(request).name, time.time(), edited.file, edited.text, edited.base)
    number = await bench_of(request).database.write(lambda store: save_draft(store, known, draft))
    return edited._replace(draft=number)


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
    faults = [_remark(one.line, one.detail, "error") for one in said.faults]
    warnings = [_remark(one.line, one.detail, "warning") for one in said.warnings]
    words = "" if faults else f"{said.rules} rules, samples pass"
    return web.json_response({"faults": faults, "warnings": warnings, "words": words})


def _remark(line: int | None, detail: str, severity: str) -> dict[str, object]:
    """A fault or a warning for the editor."""
    return {"line": line or 1, "detail": detail, "severity": severity}


async def _apply(request: web.Request, form: Mapping[str, str], edited: Edited) -> web.Response:
    bench = bench_of(request)
    if not user_of(request).may("apply"):
        raise web.HTTPForbidden(text="This needs the scope apply.\n")
    # What stood there when the text was begun, if nobody has changed anything since.
    before = bench.rulebook.files().get(edited.file)
    moved = None
    if edited.base == bench.rulebook.edition():
        said = await bench.rulebook.check(edited.file, edited.text)
        if said.faults:
            return await editor(request, edited, faults=_named(said.faults, edited.file))
        moved = await _moved(bench, form, edited)
    if edited.base != bench.rulebook.edition():  # perhaps only meanwhile
        return await editor(request, edited, faults=[await _who_changed(bench)])
    if moved is not None:
        return await editor(request, edited, moved.trial, [moved.words])
    made = Change(
        author=user_of(request).name,
        what=f"edit {edited.file}",
        file=edited.file,
        before=before,
        after=edited.text,
        note=form.get("note", "")[:300],
        way=bench.settings.workbench.apply,
        at=time.time(),
    )
    try:
        number = await bench.travel.bring_rules(made)
    except WaybillError as error:
        return await editor(request, edited, faults=[str(error)])
    raise see(request, f"/changes/{number}", urlencode({"said": "Recorded."}))


class _Moved(NamedTuple):
    """A new trial that says something else than the one that was shown, and a sentence about it."""

    trial: Trial
    words: str


async def _moved(bench: Bench, form: Mapping[str, str], edited: Edited) -> _Moved | None:
    """What a new trial says, where that is something else than was shown."""
    before = numbers.read_whole(form.get("shown", ""), _MOST_DIGITS)
    if before is None:
        return None
    trial = await bench.trials.attempt(edited.file, edited.text)
    now = trial.found.changed_patterns if trial.found is not None else 0
    if not trial.is_done or abs(now - before) <= _MOVED * max(before, 1):
        return None
    words = (
        f"Not applied yet. Patterns that change: {before:,} when it was tried, {now:,} now. "
        "Look once more, and apply it then."
    )
    return _Moved(trial, words)


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
    label, number = "", "new"
    if row is not None:
        label, number = await _label_for(bench, row), row["id"][:6]
        pattern = pattern_of(row)
        found = pattern_of_mask(pattern.mask, pattern.examples)
        if found:
            drafted = with_pattern(drafted, found)
    return drafted.replace("my-rule", f"own-{number}").replace("YOUR LABEL", label or "YOUR LABEL")


async def _label_for(bench: Bench, row: sqlite3.Row) -> str:
    """The label that a draft begins with: what somebody said, what the pattern has, else what was
    nearest; empty where that is not a label here.
    """
    said = await bench.database.read(lambda store: settle(history_of(store, row["id"])))
    label = row["guess_label"]
    if said:
        label = said[-1].correction.label
    elif row["kind"] == "decided" and row["label"] != bench.taxonomy.fallback:
        label = row["label"]
    return str(label) if label in bench.taxonomy.names else ""


async def _who_changed(bench: Bench) -> str:
    """Why a text that began with another edition is not applied."""
    rows = await bench.database.read(lambda store: list_changes(store, most=1))
    who = "the files were changed on disk"
    if rows:
        ago = numbers.ago(rows[0]["at"], time.time())
        who = f"{rows[0]['author'] or 'somebody'} made change {rows[0]['number']} {ago}"
    return f"Not applied: {who}, since this text was begun. Rebase, look, and try again."


async def tried(request: web.Request, edited: Edited) -> web.Response:
    """The page of the editor with what the text would do, or what is wrong with it."""
    bench = bench_of(request)
    said = await bench.rulebook.check(edited.file, edited.text)
    trial = None
    if not said.faults:
        trial = await bench.trials.attempt(edited.file, edited.text)
    faults = _named(said.faults, edited.file)
    warnings = _named(said.warnings, edited.file)
    return await editor(request, edited, trial, faults, warnings)


def _words(bench: Bench) -> dict[str, object]:
    """What the editor completes."""
    return {
        "keys": [{"name": key, "says": says} for key, says in KEYS],
        "values": {"label": list(bench.taxonomy.names), "mode": ["enforce", "shadow"]},
    }


def _named(told: Sequence[object], name: str) -> list[str]:
    """What the compiler said, with the name of the file instead of its place on disk."""
    return [f"{name}:{words.partition(f'/{name}:')[2] or words}" for words in map(str, told)]


async def editor(
    request: web.Request,
    edited: Edited,
    trial: Trial | None = None,
    faults: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> web.Response:
    """The page of the editor."""
    bench = bench_of(request)
    own = bench.rulebook.files()
    now = bench.rulebook.edition()
    row = await bench.database.read(lambda store: find_draft(store, edited.draft))
    is_stale = edited.base not in ("", now)
    lines: Sequence[object] = ()
    if trial is not None:
        before = own.get(edited.file)
        lines = await bench.rulebook.read(difference, before, edited.text, edited.file)
    return await page(
        request,
        "rule_edit.html",
        f"Error: {edited.file} · Rules" if faults else f"{edited.file} · Rules",
        409 if is_stale and faults else 200,
        file=edited.file,
        files=sorted({*own, edited.file}),
        text=edited.text,
        words=_words(bench),
        base=edited.base or now,
        now_edition=now,
        is_stale=is_stale,
        draft=edited.draft,
        saved=row["at"] if row else "",
        part="",
        trial=trial,
        told=await told_of(bench, trial, json.loads(row["viewed"]) if row else {}),
        faults=faults,
        warnings=warnings,
        lines=lines,
    )
