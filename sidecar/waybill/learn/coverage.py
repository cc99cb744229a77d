"""``waybill rules coverage``: how much of some lines each rule pack decides, and where packs disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from waybill.core.errors import WaybillError
from waybill.labelling.rules.ruleset import RuleSet
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, Wire
from waybill.wire.csv import RowSplitter

__all__ = ["Coverage", "PackCoverage", "cover", "read_lines", "show"]


class PackCoverage(msgspec.Struct):
    """What one rule file decides: lines, and of those with a label how many it agrees with."""

    lines: int = 0
    labelled: int = 0
    agreed: int = 0
    rules: Counter[str] = msgspec.field(default_factory=Counter)


class Coverage(msgspec.Struct):
    """Coverage of ``lines`` lines. ``conflicts``: (deciding rule, other rule) -> count and first line, where
    rules of two packs give one line different labels.
    """

    lines: int
    packs: dict[str, PackCoverage]
    conflicts: dict[tuple[str, str], tuple[int, str]]


def cover(rules: RuleSet, lines: Iterable[tuple[str, str | None]]) -> Coverage:
    """Run ``rules`` over (message, label or None); the first rule that matches decides, as when serving."""
    packs: dict[str, PackCoverage] = {rule.file: PackCoverage() for rule in rules.rules}
    conflicts: dict[tuple[str, str], tuple[int, str]] = {}
    count = 0
    for message, label in lines:
        count += 1
        matching = [rule for rule in rules.matching(message) if rule.mode == "enforce"]
        if not matching:
            continue
        first = matching[0]
        pack = packs[first.file]
        pack.lines += 1
        pack.rules[first.id] += 1
        if label is not None:
            pack.labelled += 1
            pack.agreed += first.label == label
        for other in matching[1:]:
            if other.file != first.file and other.label != first.label:
                seen, line = conflicts.get((first.id, other.id), (0, message))
                conflicts[first.id, other.id] = (seen + 1, line)
    return Coverage(count, packs, conflicts)


def read_lines(path: Path, fields: FieldSettings) -> list[tuple[str, str | None]]:
    """(message, label or None) of a CSV or NDJSON file, or of the lines of a text. Raises WaybillError."""
    data = path.read_bytes()
    if path.suffix.lower() == ".csv":
        header, *rows = RowSplitter(len(data) + 1).feed(data, is_last=True)
        at = next((header.index(name) for name in fields.message if name in header), None)
        if at is None:
            raise WaybillError(f"{path}: no column of {', '.join(fields.message)}")
        label = header.index(fields.label) if fields.label in header else None
        return [(row[at], row[label] if label is not None else None) for row in rows]
    if path.suffix.lower() in (".ndjson", ".jsonl", ".json"):
        _, batch = Wire(FieldPlan(fields)).decode(data, "application/json")
        return [(message, None) for message in batch.messages if message is not None]
    return [(line, None) for line in data.decode("utf-8", "replace").splitlines() if line.strip()]


def show(found: Coverage) -> str:
    """A table for people."""
    decided = sum(pack.lines for pack in found.packs.values())
    rows = [f"{'pack':42}{'lines':>8}{'share':>8}{'agree':>8}"]
    for name, pack in found.packs.items():
        agree = f"{pack.agreed / pack.labelled:8.3f}" if pack.labelled else f"{'-':>8}"
        rows.append(f"{_shorten(name):42}{pack.lines:8}{_share(pack.lines, found.lines):>8}{agree}")
    rows.append(f"{'all':42}{decided:8}{_share(decided, found.lines):>8}")
    for (first, other), (count, line) in sorted(
        found.conflicts.items(), key=lambda item: -item[1][0]
    ):
        rows.append(f"conflict: {first} decides, {other} says otherwise ({count}): {line[:120]}")
    return "\n".join(rows)


def _shorten(name: str) -> str:
    return Path(name).name[:41]


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def gather(paths: Sequence[Path], fields: FieldSettings) -> list[tuple[str, str | None]]:
    """The lines of all ``paths``."""
    return [line for path in paths for line in read_lines(path, fields)]
