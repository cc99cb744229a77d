"""How far confidence can be believed: of what is said with so much of it, how much is right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup

_BINS = 10
_SIZE = 240
_PAD = 32
#: Radius of the largest dot.
_DOT = 9


class Bin(NamedTuple):
    """Answers with a confidence in [low, low + 0.1): how many, and how many of them are right."""

    low: float
    total: int
    right: int


def bins_of(answers: Iterable[tuple[float, bool]]) -> list[Bin]:
    """Confidence and whether it was right, in ten bins; empty ones are left out."""
    totals, rights = [0] * _BINS, [0] * _BINS
    for confidence, is_right in answers:
        place = min(_BINS - 1, max(0, int(confidence * _BINS)))
        totals[place] += 1
        if is_right:
            rights[place] += 1
    return [Bin(i / _BINS, totals[i], rights[i]) for i in range(_BINS) if totals[i]]


def reliability_svg(bins: Sequence[Bin]) -> Markup:
    """Confidence to the right, the share that is right upwards; the diagonal is perfect."""
    most = max((one.total for one in bins), default=1)
    side = _SIZE - 2 * _PAD
    dots = []
    for one in bins:
        share = one.right / one.total
        x, y = _PAD + (one.low + 0.05) * side, _SIZE - _PAD - share * side
        radius = 3 + (_DOT - 3) * (one.total / most) ** 0.5
        words = f"{one.low:.1f} to {one.low + 0.1:.1f}: {one.right} of {one.total} right"
        dots.append(
            f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">'
            f"<title>{words}</title></circle>"
        )
    low, high = _PAD, _SIZE - _PAD
    return Markup(  # noqa: S704 - numbers only
        f'<svg class="reliability" role="img" width="{_SIZE}" height="{_SIZE}"'
        f' viewBox="0 0 {_SIZE} {_SIZE}" aria-label="share that is right by confidence">'
        f'<path class="axis" d="M{low} {low}V{high}H{high}"/>'
        f'<path class="floor" d="M{low} {high}L{high} {low}"/>{"".join(dots)}'
        f'<text x="{low}" y="{_SIZE - 12}">0</text><text x="{high - 8}" y="{_SIZE - 12}">1</text>'
        f'<text x="{_SIZE // 2 - 30}" y="{_SIZE - 8}">confidence</text>'
        f'<text x="4" y="{low + 4}">100 %</text><text x="10" y="{high}">0 %</text></svg>'
    )
