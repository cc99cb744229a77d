"""Which parameters each page reads: one that a page does not know is named on it, not obeyed.

A link that somebody typed, or that an older Waybill made, would otherwise seem to do what it says.
"""

from __future__ import annotations

from collections.abc import Collection

from waybill.web.store.filters import MEMBERS

#: What every page reads.
_COMMON = frozenset({"tax", "tz", "said", "fault"})
_LIST = frozenset({*MEMBERS, "q", "state", "sort", "until", "group", "after", "sel"})
#: By template; a page that is not here says nothing.
_KNOWN = {
    "overview.html": frozenset({"t", "from", "to"}),
    "patterns.html": _LIST | {"add", "op", "value"},
    "pattern.html": frozenset({"t", "tab", "in"}),
    "review.html": frozenset({"queue", "skipped", "started", "blind", "confirm", "at"}),
    "rules.html": frozenset({"state", "file", "q", "sort", "from"}),
    "rule_edit.html": frozenset({"file", "from", "message", "mode", "rule"}),
    "corrections.html": frozenset({"after", "label", "by"}),
    "changes.html": frozenset({"after"}),
    "change.html": frozenset(),
    "sources.html": frozenset({"after"}),
    "nodes.html": frozenset(),
    "models.html": frozenset({"version"}),
    "compare.html": frozenset({"a", "b"}),
    "csv.html": frozenset(),
    "csv_job.html": frozenset({"change", "safe"}),
    "try.html": frozenset({"line"}),
    "keys.html": frozenset(),
}
#: Names that are shown, and characters of each.
_MOST = 5
_MOST_CHARS = 40


def unknown_parameters(template: str, names: Collection[str]) -> list[str]:
    """Names of a query string that the page of ``template`` does not read."""
    known = _KNOWN.get(template)
    if known is None:
        return []
    unknown = [name[:_MOST_CHARS] for name in dict.fromkeys(names) if name not in known | _COMMON]
    return unknown[:_MOST]
