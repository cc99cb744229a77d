"""``waybill rules coverage``: how much of some lines each rule file decides, and where files
disagree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from waybill.labelling.rules.ruleset import Rule, RuleSet
from waybill.learn.chain import Line
from waybill.learn.messages import read_messages
from waybill.settings.schema import FieldSettings

__all__ = ["Conflict", "Coverage", "FileCoverage", "cover", "read_lines", "show"]

_NAME_WIDTH = 42
_LINE_CHARS = 120


class FileCoverage(msgspec.Struct):
    """What one rule file decides: lines, and of those with a label how many it agrees with."""

    lines: int = 0
    labelled: int = 0
    agreed: int = 0
    rules: Counter[str] = msgspec.field(default_factory=Counter)


class Conflict(msgspec.Struct):
    """How often two rules of different files give one line different labels, and the first such
    line.
    """

    count: int
    line: str


class Coverage(msgspec.Struct):
    """Coverage of ``lines`` lines. ``conflicts`` are by the ids of the deciding and the
    other rule.

    ``shadows`` counts what rules in shadow mode would take, by id, their label, and the label that
    rules give now (None: no rule does, so that the model decides).
    """

    lines: int
    files: dict[str, FileCoverage]
    conflicts: dict[tuple[str, str], Conflict]
    shadows: Counter[tuple[str, str, str | None]] = msgspec.field(default_factory=Counter)


def cover(rules: RuleSet, lines: Iterable[Line]) -> Coverage:
    """Run ``rules`` over the lines; the first rule that matches decides, as when serving."""
    files = {rule.file: FileCoverage() for rule in rules.rules}
    found = Coverage(0, files, {})
    for line in lines:
        if line.message is not None:
            _count(found, rules, line.message, line.label)
    return found


def _count(found: Coverage, rules: RuleSet, message: str, label: str | None) -> None:
    found.lines += 1
    found_rules = rules.matching(message)
    matching = [rule for rule in found_rules if rule.mode == "enforce"]
    _count_shadows(found, found_rules)
    if not matching:
        return
    first = matching[0]
    of_file = found.files[first.file]
    of_file.lines += 1
    of_file.rules[first.id] += 1
    if label is not None:
        of_file.labelled += 1
        if first.label == label:
            of_file.agreed += 1
    for other in matching[1:]:
        if other.file != first.file and other.label != first.label:
            conflict = found.conflicts.setdefault((first.id, other.id), Conflict(0, message))
            conflict.count += 1


def _count_shadows(found: Coverage, matching: Sequence[Rule]) -> None:
    """Note what each shadow rule would take if it were in force at its place."""
    now = None
    for rule in matching:
        if rule.mode == "enforce":
            now = rule
            break
    for rule in matching:
        if rule is now:
            break
        if rule.mode == "shadow":
            found.shadows[rule.id, rule.label, now.label if now is not None else None] += 1


def read_lines(paths: Sequence[Path | str], fields: FieldSettings) -> Iterator[Line]:
    """The lines of all ``paths``, one after another. Raises WaybillError."""
    for path in paths:
        yield from read_messages(path, fields)


def show(found: Coverage) -> str:
    """A table for people."""
    decided = sum(one.lines for one in found.files.values())
    rows = [f"{'file':{_NAME_WIDTH}}{'lines':>8}{'share':>8}{'agree':>8}"]
    for name, one in found.files.items():
        if not one.lines:
            continue
        share = _share(one.lines, found.lines)
        rows.append(f"{_shorten(name):{_NAME_WIDTH}}{one.lines:8}{share:>8}{_agreement(one):>8}")
    rows.append(f"{'all':{_NAME_WIDTH}}{decided:8}{_share(decided, found.lines):>8}")
    idle = sum(not one.lines for one in found.files.values())
    if idle:
        rows.append(f"files that decide none of these lines: {idle}")
    most_first = sorted(found.conflicts.items(), key=lambda item: -item[1].count)
    for (first, other), conflict in most_first:
        line = conflict.line[:_LINE_CHARS]
        rows.append(f"conflict: {first} decides, {other} says otherwise ({conflict.count}): {line}")
    for (rule_id, label, now), count in found.shadows.most_common():
        before = f"where rules give {now}" if now is not None else "where no rule decides"
        rows.append(f"shadow: {rule_id} would give {count} lines {label}, {before}")
    return "\n".join(rows)


def _agreement(one: FileCoverage) -> str:
    if not one.labelled:
        return "-"
    return f"{one.agreed / one.labelled:.3f}"


def _shorten(name: str) -> str:
    return Path(name).name[: _NAME_WIDTH - 1]


def _share(part: int, whole: int) -> str:
    if not whole:
        return "-"
    return f"{100 * part / whole:.1f} %"
