"""What a backtest found: which records would get another label, and how the two sides compare.

Over records every number is exact. Over patterns a `Flip` is a range: ``low`` records flip for
certain, up to ``high`` may, since values decide that a pattern does not keep.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

__all__ = [
    "Backtest",
    "Bounds",
    "Change",
    "Contradiction",
    "Flip",
    "Said",
    "Score",
    "SideReport",
    "Unlisted",
    "broken",
]

#: What was labelled: single records, or patterns that stand for many.
Unit: TypeAlias = Literal["records", "patterns"]


class Flip(msgspec.Struct):
    """How many records go from one label to another (or keep it, where both are the same)."""

    old: str
    new: str
    low: int = 0
    high: int = 0


class Said(msgspec.Struct, frozen=True, order=True):
    """A label, and who gives it: the id of a rule, or the name of a tier."""

    label: str
    by: str


class Change(msgspec.Struct):
    """A mask whose records flip: ``low`` for certain, ``high`` at most.

    ``old`` and ``new`` are what they get, ``example`` is cleaned.
    """

    id: str
    mask: str
    low: int
    high: int
    sources: dict[str, int]
    old: list[Said]
    new: list[Said]
    example: str = ""


class Unlisted(msgspec.Struct):
    """Masks that flip from ``old`` to ``new`` and have no `Change` of their own, as one."""

    old: Said
    new: Said
    patterns: int = 0
    low: int = 0
    high: int = 0


class Contradiction(msgspec.Struct):
    """A correction with which a side's rules or model disagree.

    ``is_certain``: for every message of that mask. ``is_new``: the old side does not disagree.
    """

    correction: str
    mask: str
    source: str
    label: str
    given: list[Said]
    is_certain: bool
    is_new: bool


class Score(msgspec.Struct):
    """Right and wrong answers; ``depends`` where values decide, ``undecided`` without a label."""

    right: int = 0
    wrong: int = 0
    undecided: int = 0
    depends: int = 0

    @property
    def total(self) -> int:
        """All that was asked."""
        return self.right + self.wrong + self.undecided + self.depends

    @property
    def accuracy(self) -> float | None:
        """The share of right answers in [0, 1]; None where nothing was asked."""
        return self.right / self.total if self.total else None


class SideReport(msgspec.Struct):
    """One side: what it is, what it costs, how good it is.

    ``cpu_secs`` is processor time spent on labelling all that was measured. ``rules_bytes`` is the
    size of the compiled rules, ``model_bytes`` that of the bundle's files.
    """

    name: str
    rules: int
    rules_version: str
    model: str | None
    rules_bytes: int = 0
    model_bytes: int = 0
    cpu_secs: float = 0.0
    corrections: Score = msgspec.field(default_factory=Score)
    labelled: Score = msgspec.field(default_factory=Score)


class Backtest(msgspec.Struct):
    """Old against new. ``error``: the counts of patterns may be so much too high.

    ``held``: records that would flip, had no correction decided them. ``matrix`` has the flips and
    the records that keep their label; ``changes`` the masks that flip, most records first, of
    ``changed_patterns`` in all, and ``unlisted`` those that were only counted.
    """

    on: str
    unit: Unit
    records: int
    patterns: int
    error: int
    old: SideReport
    new: SideReport
    low: int = 0
    high: int = 0
    held: int = 0
    matrix: list[Flip] = []
    changed_patterns: int = 0
    changes: list[Change] = []
    unlisted: list[Unlisted] = []
    contradictions: list[Contradiction] = []
    notes: list[str] = []


class Bounds(msgspec.Struct, frozen=True):
    """What may not happen: more flips than so many records or so much of all (0 to 1); and which
    contradictions: ``all``, or only the ``new`` ones.
    """

    most_flips: int | None = None
    most_share: float | None = None
    contradictions: Literal["all", "new"] | None = None


def broken(found: Backtest, bounds: Bounds) -> list[str]:
    """A sentence for each bound that is broken; what may be counts as if it were."""
    said: list[str] = []
    if bounds.most_flips is not None and found.high > bounds.most_flips:
        said.append(f"{_at_most(found)} flip; --max-flips allows {bounds.most_flips}")
    share = found.high / max(1, found.records)
    if bounds.most_share is not None and share > bounds.most_share:
        allowed = f"{100 * bounds.most_share:g} %"
        said.append(f"{_at_most(found)} flip ({100 * share:.3g} %); --max-flips allows {allowed}")
    against = _against(found, bounds)
    if against:
        count = f"{against} correction{'s' * (against > 1)}"
        said.append(f"the new side contradicts {count}; --no-contradictions allows none")
    return said


def _against(found: Backtest, bounds: Bounds) -> int:
    """The contradictions that may not be."""
    if bounds.contradictions is None:
        return 0
    if bounds.contradictions == "all":
        return len(found.contradictions)
    return sum(one.is_new for one in found.contradictions)


def _at_most(found: Backtest) -> str:
    if found.low == found.high:
        return f"{found.high} of {found.records} records"
    return f"{found.low} to {found.high} of {found.records} records"
