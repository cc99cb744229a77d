"""Which column of a table holds the messages where no name tells: the one with the most words.

>>> column_of_messages(["when", "what"], [["10:00", "disk is full"], ["10:01", "fan is loud"]])
(1, False)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from waybill.settings.schema import FieldSettings
from waybill.wire.table.columns import Choice
from waybill.wire.table.table import Table

__all__ = ["FoundColumn", "column_of_messages", "find_messages"]

_WORDS = re.compile(r"[^\W\d_]{2,}")
#: So many rows are looked at.
_ROWS = 50
_ROW_CHARS = 8 << 20
#: A cell of a message has so many words on average; names and states have one.
_WORDS_OF_MESSAGES = 2.0


class FoundColumn(NamedTuple):
    """``number`` is its place, from 1; ``name`` what the first row calls it; ``has_head`` says
    whether that row is a head; ``is_likely`` whether the cells are sentences rather than names.
    """

    number: str
    name: str
    has_head: bool
    is_likely: bool


def find_messages(
    fields: FieldSettings, start: bytes, choice: Choice, *, is_last: bool
) -> FoundColumn | None:
    """The column of messages of a table that begins with ``start``, by what its cells hold; None
    where a name or ``choice`` tells. A first row that reads like the others is not a head.

    Raises:
        MalformedError: ``start`` cannot be read as a table.
    """
    if choice.message is not None:
        return None
    table = Table(fields, choice, _ROW_CHARS, needs_message=False)
    rows = table.feed(start, is_last=is_last)
    if not table.has_head or table.columns.has_messages:
        return None
    head = table.columns.head
    cells = [row.cells for row in rows[:_ROWS] if row.cells]
    place, is_data = column_of_messages(head, cells)
    words = sum(len(_WORDS.findall(row[place])) for row in cells if place < len(row))
    is_likely = words >= _WORDS_OF_MESSAGES * len(cells) > 0
    number = str(place + 1)
    return FoundColumn(number, head[place] or number, choice.has_head and not is_data, is_likely)


def column_of_messages(head: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[int, bool]:
    """The column with the most words, and whether ``head`` has as many there as the rows have."""
    totals = [0] * len(head)
    for cells in rows:
        for at, cell in enumerate(cells[: len(head)]):
            totals[at] += len(_WORDS.findall(cell))
    place = totals.index(max(totals, default=0)) if head else 0
    if not rows or not head:
        return place, False
    of_rows = totals[place] / len(rows)
    is_data = len(_WORDS.findall(head[place])) > max(2.0, of_rows / 2)
    return place, is_data
