"""Proposals as a table, and in the words that stand beside each in the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from waybill.learn.discover.propose import Proposed

__all__ = ["describe", "show"]

_PATTERN_CHARS = 70


def describe(one: Proposed, records: int) -> str:
    """What a rule's description says: its part of all ``records``, and who gave the label."""
    share = 100 * one.records / max(1, records)
    masks = len(one.taken)
    what = (
        f"{one.records:,} of {records:,} records ({share:.3g} %), {masks} mask{'s' * (masks > 1)}"
    )
    said = f"label by {one.named.origin}"
    if one.named.origin == "model":
        said += f" ({one.named.confidence:.2f})"
    already = ""
    if one.by_rules:
        already = f"; rules in force decide {one.by_rules:,} of them already"
    return f"{what}; {said}{already}"


def show(found: Sequence[Proposed], left_out: Counter[str], records: int, at_least: int) -> str:
    """A table, most records first, and what was left out."""
    rows = [f"{'records':>10}{'share':>8}{'by rules':>10}  {'label':20} {'by':7} pattern"]
    covered: set[int] = set()
    total = 0
    for one in found:
        share = f"{100 * one.records / max(1, records):.1f} %"
        head = f"{one.records:>10,}{share:>8}{one.by_rules:>10,}"
        pattern = one.proposal.pattern[:_PATTERN_CHARS]
        rows.append(f"{head}  {one.named.label:20} {one.named.origin:7} {pattern}")
        for (rule, label), count in one.conflicts.most_common():
            rows.append(f"{'':28}  conflict: rule {rule} gives {count:,} of them {label}")
        covered |= one.taken
        total += one.records
    for reason, count in sorted(left_out.items()):
        rows.append(f"left out: {count} groups {_verb(reason)}{reason}")
    rows.append(f"{len(found)} rules proposed, over {len(covered)} masks of {records:,} records")
    if not found and not left_out:
        rows.append(f"no messages that read alike have {at_least:,} records (--at-least)")
    return "\n".join(rows)


def _verb(reason: str) -> str:
    return "" if reason.startswith(("with", "whose", "that")) else "of which "
