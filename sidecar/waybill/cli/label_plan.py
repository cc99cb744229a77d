"""What ``waybill label`` is to do."""

from __future__ import annotations

from dataclasses import dataclass

from waybill.wire.inputs import Format
from waybill.wire.table.columns import DEFAULT, Choice
from waybill.wire.table.faults import Policy

__all__ = ["Plan"]

_PASS_ALL = Policy()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be labelled, and how. ``source`` and ``target`` are paths, or ``-``.

    ``sheet`` is the name of a sheet of a workbook; with ``is_check`` the input is only read.
    """

    source: str
    target: str
    form: Format | None = None
    choice: Choice = DEFAULT
    policy: Policy = _PASS_ALL
    is_quiet: bool = False
    is_progress_json: bool = False
    sheet: str | None = None
    is_check: bool = False
