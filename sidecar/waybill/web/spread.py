"""Where a change is: on how many nodes it is in force, which wait, and which refuse it and why.

That is what the nodes say themselves (``GET /v1/edition``), no matter who brought the change there.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from waybill.labelling.rules.texts import is_file_name, text_mark
from waybill.web.store.changes import CORRECTIONS_FILE, newest_by_file, note_complete
from waybill.web.store.queries import node_rows

#: A change that is not everywhere after this is late: a kubelet needs two minutes.
LATE_SECS = 300.0
_MOST_NAMED = 3


class Refusal(NamedTuple):
    """A node that does not take what it should, in its own words."""

    node: str
    words: str


class Spread(NamedTuple):
    """The state of a change: its sentence, and the nodes."""

    state: str
    sentence: str
    in_force: int = 0
    waiting: int = 0
    refused: Sequence[Refusal] = ()
    of: int = 0


class Fleet(NamedTuple):
    """What was read of all nodes at once: editions by name, the newest change of each file, and the
    versions of corrections with the last change that each of them stands for.
    """

    editions: Mapping[str, Mapping[str, object]]
    newest: Mapping[str, int]
    corrections: Mapping[str, int]


def read_fleet(store: sqlite3.Connection) -> Fleet:
    """The nodes and the newest changes."""
    editions = {row["name"]: _part(json.loads(row["edition"])) for row in node_rows(store)}
    newest = {row["file"]: row["number"] for row in newest_by_file(store)}
    versions = store.execute(
        "SELECT version, max(number) AS number FROM changes"
        " WHERE file = ? AND state = 'written' GROUP BY version",
        (CORRECTIONS_FILE,),
    )
    return Fleet(editions, newest, {row["version"]: row["number"] for row in versions})


def spread(fleet: Fleet, row: sqlite3.Row, now: float) -> Spread:
    """Where the change ``row`` is."""
    if row["state"] == "failed":
        return Spread("failed", f"not written, nothing changed: {row['fault']}")
    if row["state"] == "writing":
        return Spread("writing", "being written")
    if row["file"] != CORRECTIONS_FILE and not is_file_name(row["file"]):
        return Spread("recorded", "recorded")
    newest = fleet.newest.get(row["file"], row["number"])
    if newest != row["number"]:
        return Spread("later", f"change {newest} decides now")
    there = []
    refused = []
    waiting = []
    for name, edition in fleet.editions.items():
        if _has(fleet, row, edition):
            there.append(name)
            continue
        words = _refusal(_part(edition.get(_name_of(row))))
        if words:
            refused.append(Refusal(name, words))
        else:
            waiting.append(name)
    all_of = len(fleet.editions)
    state, sentence = _words(row, len(there), waiting, len(refused), now)
    return Spread(state, sentence, len(there), len(waiting), refused, all_of)


def note_spread(store: sqlite3.Connection) -> None:
    """Keep the moment at which a change was on every node for the first time."""
    now = time.time()
    fleet = read_fleet(store)
    for row in newest_by_file(store):
        if row["complete_at"] is None and spread(fleet, row, now).state == "in force":
            note_complete(store, row["number"], now)


def refusals(edition: Mapping[str, object]) -> str:
    """All that a node refuses, in a sentence; empty when it refuses nothing."""
    found = []
    for name, part in edition.items():
        words = _refusal(_part(part))
        if words:
            found.append(f"{name}: {words}")
    return "; ".join(found)


def _words(
    row: sqlite3.Row, there: int, waiting: Sequence[str], refused: int, now: float
) -> tuple[str, str]:
    """The state in a word, and in a sentence."""
    of = there + len(waiting) + refused
    if not of:
        return "waiting", "no sidecar is known yet"
    if there == of:
        took = ""
        if row["complete_at"] is not None:
            took = f", {max(0, row['complete_at'] - row['at']):,.0f} s after it was made"
        return "in force", f"in force on {there:,} of {of:,}{took}"
    parts = [f"in force on {there:,} of {of:,}"]
    if waiting:
        parts.append(f"{len(waiting):,} waiting")
    if refused:
        parts.append(f"{refused:,} refused")
    if not waiting:
        return "partly", " · ".join(parts)
    if now - row["at"] > LATE_SECS and row["way"] != "patch":
        names = ", ".join(waiting[:_MOST_NAMED])
        more = " and others" if len(waiting) > _MOST_NAMED else ""
        return "late", f"{' · '.join(parts)} · late: {names}{more}"
    if there or refused:
        return "arriving", " · ".join(parts)
    return "waiting", f"in force on 0 of {of:,}, {_expected(row['way'])}"


def _expected(way: str) -> str:
    if way == "patch":
        return "until somebody brings the patch there"
    if way == "configmap":
        return "the kubelet needs up to 2 min"
    return "expected within a minute"


def _name_of(row: sqlite3.Row) -> str:
    return "corrections" if row["file"] == CORRECTIONS_FILE else "rules"


def _has(fleet: Fleet, row: sqlite3.Row, edition: Mapping[str, object]) -> bool:
    """Whether a node says that the change, or a later one, is in force."""
    part = _part(edition.get(_name_of(row)))
    if row["file"] == CORRECTIONS_FILE:
        if part.get("is_newest") is False:
            return False
        said = [part.get("history"), str(_part(part.get("follow")).get("tag")).strip('"')]
        return any(fleet.corrections.get(str(one), 0) >= row["number"] for one in said)
    files = part.get("files")
    if not isinstance(files, dict):
        return False
    if row["after"] is None:
        return row["file"] not in files
    return files.get(row["file"]) == text_mark(row["after"])


def _refusal(part: Mapping[str, object]) -> str:
    """What a node refuses of one part, in its own words; empty when it refuses nothing."""
    words: list[str] = []
    last = _part(part.get("last_refusal"))
    if part.get("is_newest") is False and last:
        detail = last.get("detail") or last.get("reason")
        told = detail if isinstance(detail, list) else [detail]
        words += [str(one) for one in told[:_MOST_NAMED]]
    problem = _part(part.get("follow")).get("problem")
    if problem and not words:
        words.append(str(problem))
    return "; ".join(words)[:600]


def _part(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def sentences(fleet: Fleet, rows: Iterable[sqlite3.Row], now: float) -> dict[int, Spread]:
    """`spread` of several, by number."""
    return {row["number"]: spread(fleet, row, now) for row in rows}
