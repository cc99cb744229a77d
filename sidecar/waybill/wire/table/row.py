"""One row of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from waybill.wire.table.columns import Columns
from waybill.wire.table.faults import FaultKind, Policy

__all__ = ["Row"]


class Row(NamedTuple):
    """One row. ``text`` has no line end; ``end`` is it.

    ``number`` counts the rows behind the head from 1, ``line`` is the line of the file that the row
    begins on; ``fault`` says what is wrong with the row, and ``kinds`` of which kinds that is.
    A blank line has no cells and no number of its own.
    """

    cells: Sequence[str]
    text: str
    end: str
    number: int
    fault: str | None
    line: int = 0
    kinds: tuple[FaultKind, ...] = ()

    @property
    def where(self) -> str:
        """The row for people: both counts, since quotes span lines."""
        return f"row {self.number} (line {self.line})"

    def faults(self, columns: Columns, policy: Policy) -> tuple[str, tuple[FaultKind, ...]]:
        """What is wrong with it, in words and by kind; a missing message where ``policy`` minds."""
        fault = self.fault or ""
        if not policy.minds_messages or not self.cells:
            return fault, self.kinds
        if columns.message_of(self.cells) is not None:
            return fault, self.kinds
        no_message = "it has no message"
        return f"{fault}; {no_message}" if fault else no_message, (*self.kinds, "message")
