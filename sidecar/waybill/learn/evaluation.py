"""What an evaluation found, and how it is told to people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from waybill.learn.scores import LabelScore, Scores

__all__ = ["Evaluation", "Mistake", "show", "show_scores"]


class Mistake(msgspec.Struct, frozen=True):
    """A line that got another label than the right one; ``text`` is masked."""

    right: str
    given: str
    tier: str
    confidence: float | None
    reason: str | None
    text: str

    def __str__(self) -> str:
        decided = self.tier
        if self.confidence is not None:
            decided += f" {self.confidence:.2f}"
        if self.reason:
            decided += f" {self.reason}"
        return f"{self.right} -> {self.given} ({decided}): {self.text}"


class Evaluation(msgspec.Struct, frozen=True):
    """What was measured. ``scores``, ``by_tier``, ``by_reason`` and ``mistakes`` are of one run
    through the routes that serve; ``ablation`` is of runs in which every source is asked of the
    named tiers.

    ``by_tier`` counts the lines that each tier decided, ``by_reason`` why lines stayed
    unclassified. ``bins`` are rows of mean confidence, share right and count; ``calibration_error``
    and they are of the model alone.
    """

    bundle: str
    rules: str | None
    scores: Scores
    by_tier: dict[str, int]
    by_reason: dict[str, int]
    calibration_error: float
    bins: list[tuple[float, float, int]]
    fragments_unclassified: float
    ablation: dict[str, Scores] = {}
    float_agreement: float | None = None
    mistakes: list[Mistake] = []


def show(found: Evaluation, *, has_mistakes: bool = False) -> str:
    """A table for people."""
    scores = found.scores
    rows = [show_scores(scores.per_label)]
    rows += [
        "",
        f"lines {scores.lines}  accuracy {scores.accuracy:.4f}  macro-F1 {scores.macro_f1:.4f}",
        f"macro-F1 with labels that were only answered {scores.macro_f1_answered:.4f}",
        (
            f"unclassified {scores.unclassified:.4f}  wrong {scores.wrong:.4f}  "
            f"decided by {_counts(found.by_tier)}"
        ),
    ]
    if found.by_reason:
        rows.append(f"unclassified because of {_counts(found.by_reason)}")
    rows += [
        f"model {found.bundle}: calibration error {found.calibration_error:.4f}",
        f"generated fragments unclassified {found.fragments_unclassified:.4f}",
    ]
    if found.ablation:
        rows.append("every source asked of:")
    for name, alone in found.ablation.items():
        rows.append(
            f"{name:18} accuracy {alone.accuracy:.4f}  macro-F1 {alone.macro_f1:.4f}  "
            f"unclassified {alone.unclassified:.4f}  wrong {alone.wrong:.4f}"
        )
    if found.float_agreement is not None:
        rows.append(f"same label over the float32 encoder: {found.float_agreement:.4f}")
    if has_mistakes:
        rows += ["", *_mistakes(found.mistakes)]
    return "\n".join(rows)


def show_scores(per_label: dict[str, LabelScore]) -> str:
    """Precision, recall, F1 and lines of each label."""
    rows = [f"{'label':22}{'precision':>10}{'recall':>8}{'F1':>8}{'lines':>8}"]
    for label, one in per_label.items():
        rows.append(f"{label:22}{one.precision:10.3f}{one.recall:8.3f}{one.f1:8.3f}{one.lines:8}")
    return "\n".join(rows)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _mistakes(mistakes: Sequence[Mistake]) -> Iterable[str]:
    yield f"{len(mistakes)} lines got another label:"
    yield from map(str, mistakes)
