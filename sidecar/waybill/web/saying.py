"""Turns what somebody says about patterns into corrections, of one or of many.

What is said in one go is one batch, and is taken back in one go.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from waybill.core.correction import Correction, new_correction, settle, withdrawal
from waybill.web.context import Bench
from waybill.web.store.corrections import (
    add_answer,
    add_correction,
    drop_answer,
    find_correction,
    last_batch,
)
from waybill.web.store.queries import history_of
from waybill.web.store.recording import pattern_of

#: Characters of a note.
MOST_NOTE = 300
MIXED = "Values decide the label of this pattern: make a rule."
CLEANED = "Secrets were taken out of this pattern before it was shown: make a rule."
NO_LABEL = "No label was chosen."
GONE = "There is no such pattern."


class Outcome(NamedTuple):
    """How many patterns got a correction, and why the others did not (words -> number)."""

    label: str
    done: int
    skipped: Mapping[str, int]

    @property
    def sentence(self) -> str:
        """What was done, for people."""
        patterns = "1 pattern" if self.done == 1 else f"{self.done:,} patterns"
        words = f"Corrected {patterns} to {self.label}."
        why = "; ".join(f"{number:,}: {reason}" for reason, number in self.skipped.items())
        if why:
            return f"{words} Skipped {sum(self.skipped.values()):,}: {why}"
        return words


class _Plan(NamedTuple):
    lines: list[tuple[str, Correction]]
    skipped: Counter[str]


async def say(
    bench: Bench, author: str, rows: Sequence[sqlite3.Row], label: str, note: str = ""
) -> Outcome:
    """Record ``label`` for every pattern of ``rows`` that takes a correction."""
    if label not in bench.taxonomy:
        return Outcome(label, 0, {NO_LABEL: len(rows)})
    batch = secrets.token_hex(8)
    at = time.time()

    def write(store: sqlite3.Connection) -> Outcome:
        plan = _plan(store, rows, label, author, note[:MOST_NOTE])
        for pattern, line in plan.lines:
            add_correction(store, line)
            add_answer(store, author, pattern, line.id, at, batch)
        return Outcome(label, len(plan.lines), plan.skipped)

    return await bench.database.write(write)


async def take_back(bench: Bench, author: str) -> list[str]:
    """Withdraw what ``author`` said last; gives the patterns that it was about."""

    def write(store: sqlite3.Connection) -> list[str]:
        answers = last_batch(store, author)
        for row in answers:
            given = find_correction(store, row["correction"])
            if given is not None:
                add_correction(store, withdrawal(given, by=author, note="undone"))
            drop_answer(store, row["number"])
        return [row["pattern"] for row in answers]

    return await bench.database.write(write)


def _plan(
    store: sqlite3.Connection, rows: Iterable[sqlite3.Row], label: str, author: str, note: str
) -> _Plan:
    skipped: Counter[str] = Counter()
    lines = []
    for row in rows:
        why = _refusal(store, row, label)
        if why:
            skipped[why] += 1
            continue
        mask = pattern_of(row).mask
        lines.append((row["id"], new_correction(mask, label, by=author, note=note)))
    return _Plan(lines, skipped)


def _refusal(store: sqlite3.Connection, row: sqlite3.Row, label: str) -> str:
    """Why a pattern takes no such correction; empty: it does."""
    pattern = pattern_of(row)
    if pattern.is_mixed:
        return MIXED
    if pattern.is_cleaned:
        return CLEANED
    said = settle(history_of(store, row["id"]))
    if any(one.correction.label == label and not one.is_disputed for one in said):
        return f"already {label}"
    return ""
