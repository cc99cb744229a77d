"""Tables, labelled or only read as they come; memory does not grow with the file."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator, Sequence

from waybill.cli.label_plan import Plan
from waybill.cli.label_summary import Summary
from waybill.core.errors import MalformedError
from waybill.core.records import Verdict
from waybill.core.turns import in_parts
from waybill.library import Labeller
from waybill.settings.labellings import added_fields
from waybill.settings.schema import Settings
from waybill.wire.table.columns import Columns
from waybill.wire.table.faults import Policy
from waybill.wire.table.row import Row
from waybill.wire.table.table import Table

__all__ = ["check_table", "label_table"]

_TABLE_BYTES = 64 << 10
#: Rows that are labelled together: those of a chunk, mostly. Each call of the labeller wakes its
#: thread, which costs as much as some hundred rows.
_ROWS = 4096
_FAULT = operator.attrgetter("fault")
#: Longest row of a table: a quote that is never closed must not take the whole file into one cell.
_ROW_CHARS = 8 << 20


def label_table(
    settings: Settings,
    labeller: Labeller,
    plan: Plan,
    summary: Summary,
    chunks: Iterator[bytes],
) -> Iterator[bytes]:
    """The labelled table in pieces. Raises MalformedError."""
    table = _table(settings, plan)
    is_begun = False
    for rows in _rows_of(table, summary, chunks):
        if not is_begun:
            is_begun = True
            yield table.head()
        taken = _taken(rows, table.columns, plan.policy, summary)
        yield _label_rows(labeller, table, taken, summary)
    if table.rest():
        yield table.rest()


def check_table(settings: Settings, plan: Plan, summary: Summary, chunks: Iterator[bytes]) -> None:
    """Read a table and name its faults; rows that could only be left out are counted as well.

    Raises:
        MalformedError: it is not a table, or has no column of messages.
    """
    every = Policy(kinds={"message": "pass"})
    table = _table(settings, plan)
    for rows in _rows_of(table, summary, chunks):
        _taken(rows, table.columns, every, summary)
        for row in rows:
            if row.cells:
                summary.rows += 1


def _table(settings: Settings, plan: Plan) -> Table:
    further = added_fields(settings)[1:]
    return Table(settings.fields, plan.choice, _ROW_CHARS, further=further)


def _rows_of(table: Table, summary: Summary, chunks: Iterator[bytes]) -> Iterator[list[Row]]:
    """Rows, some at a time; the first may be none of them, when the head was read."""
    is_begun = False
    for chunk in itertools.chain(_cut(chunks), (None,)):
        rows = table.feed(chunk or b"", is_last=chunk is None)
        if table.has_head and not is_begun:
            is_begun = True
            summary.say(table.describe())
            yield []
        yield from in_parts(rows, _ROWS)
    if table.rest():
        words = f"the file ends within a character of {table.decoder.name}"
        summary.fault("at the end", words, ("bytes",))


def _cut(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Smaller chunks: rows that are gone before the next come cost half."""
    for chunk in chunks:
        for at in range(0, len(chunk), _TABLE_BYTES):
            yield chunk[at : at + _TABLE_BYTES]


def _taken(rows: list[Row], columns: Columns, policy: Policy, summary: Summary) -> list[Row]:
    """The rows that go on. Raises MalformedError (``csv_row``) where the policy is to stop."""
    if not policy.minds_messages and not any(map(_FAULT, rows)):
        return rows
    taken: list[Row] = []
    for row in rows:
        if row.fault is None and not policy.minds_messages:
            taken.append(row)
            continue
        words, kinds = row.faults(columns, policy)
        if not kinds:
            taken.append(row)
            continue
        done = policy.of(kinds)
        if done == "fail":
            raise MalformedError("csv_row", f"{row.where}: {words}")
        if done == "skip":
            summary.fault(row.where, f"{words}; left out", kinds)
            continue
        summary.fault(row.where, words, kinds)
        taken.append(row)
    return taken


def _label_rows(labeller: Labeller, table: Table, rows: list[Row], summary: Summary) -> bytes:
    columns = table.columns
    cells = [row.cells for row in rows]
    messages, sources = columns.read(cells)
    verdicts = labeller.label(messages, sources)
    summary.note_patterns(messages, verdicts)
    _count(columns, cells, verdicts, summary)
    if columns.label is not None:
        for own, verdict in zip(cells, verdicts, strict=True):
            known = columns.label_of(own)
            if known is not None:
                summary.compare(known, verdict.label)
    return table.labelled(rows, verdicts)


def _count(
    columns: Columns, cells: list[Sequence[str]], verdicts: list[Verdict], summary: Summary
) -> None:
    """Count the rows that have cells; those that keep their label stand apart."""
    if not columns.keeps_labels and all(cells):
        summary.count(verdicts)
        return
    counted: list[Verdict] = []
    kept = 0
    for own, verdict in zip(cells, verdicts, strict=True):
        if columns.keeps(own):
            kept += 1
        elif own:
            counted.append(verdict)
    if kept:
        summary.passed(kept, "has a label")
    summary.count(counted)
