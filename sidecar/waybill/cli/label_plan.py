"""The plan of ``waybill label``: what is to be done, from its options."""

from __future__ import annotations

from dataclasses import dataclass

from waybill.core.errors import MalformedError
from waybill.wire.inputs import Format
from waybill.wire.table.columns import DEFAULT, Choice
from waybill.wire.table.faults import Policy

__all__ = ["Plan"]

_PASS_ALL = Policy()
#: Options of tables: their part of a choice, and what is written for records instead.
_TABLE_OPTIONS = {
    "--delimiter": ("delimiter", ""),
    "--message-column": ("message", """--set 'fields.message=["NAME"]'"""),
    "--source-column": ("source", """--set 'fields.source=["NAME"]'"""),
    "--quote": ("quote", ""),
    "--head": ("has_head", ""),
    "--known-labels": ("known", "--set fields.relabel=true"),
    "--source": ("source_text", ""),
    "--details": ("details", "--set fields.confidence=null and the like"),
}


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

    def check_options(self, form: Format) -> None:
        """Refuse what was said and means nothing for this form, rather than pass over it.

        Raises:
            MalformedError: code ``fields``.
        """
        if self.sheet is not None and form != "xlsx":
            raise MalformedError("fields", f"--sheet is for workbooks, and this is read as {form}")
        if form in ("csv", "xlsx"):
            return
        for option, (part, instead) in _TABLE_OPTIONS.items():
            if getattr(self.choice, part) != getattr(DEFAULT, part):
                hint = f"; for records write {instead}" if instead and form != "text" else ""
                told = f"{option} is for tables, and this is read as {form}"
                raise MalformedError("fields", f"{told} (--format names another){hint}")
