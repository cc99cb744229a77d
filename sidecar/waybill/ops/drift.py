"""Label drift: how far the shares of the labels are from what they lately were.

Verdicts are counted in windows. At the end of each, its shares are held against a baseline in which
older windows fade away, by the population stability index: the sum over labels of
``(now - before) * ln(now / before)``. Customary reading (Siddiqi, Credit Risk Scorecards, 2006):
below 0.1 no shift, above 0.25 a large one.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

__all__ = ["Drift", "LabelDrift"]

WINDOW_SECS = 300.0
#: After this long a window counts half in the baseline: a day's rhythm is in it.
HALF_LIFE_SECS = 86_400.0
#: A window with fewer verdicts says nothing of shares and is put to the next one.
LEAST_VERDICTS = 200
#: Stands in for a share of zero, of which there is no logarithm.
_FLOOR = 1e-4


class Drift(NamedTuple):
    """What one window showed: the population stability index, the shares of the fallback label now
    and before.
    """

    psi: float
    unclassified: float
    unclassified_before: float


class LabelDrift:
    """Counts verdicts and gives a `Drift` at the end of each window; ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._now: Counter[str] = Counter()
        self._before: dict[str, float] = {}

    def add(self, counts: Mapping[str, int], fallback: str) -> Drift | None:
        """Count verdicts by label, of which ``fallback`` says that nobody knew.

        Gives the finished window's drift when this ends one that has a baseline.
        """
        self._now.update(counts)
        elapsed = self._clock() - self._began
        if elapsed < WINDOW_SECS or self._now.total() < LEAST_VERDICTS:
            return None
        drift = self._measure(fallback) if self._before else None
        fade = 0.5 ** (elapsed / HALF_LIFE_SECS)
        self._before = {
            label: fade * self._before.get(label, 0.0) + self._now[label]
            for label in self._labels()
        }
        self._now.clear()
        self._began += elapsed
        return drift

    def _labels(self) -> list[str]:
        """Every label that was met; one that was not would add nothing."""
        return sorted(self._now.keys() | self._before.keys())

    def _measure(self, fallback: str) -> Drift:
        total, total_before = self._now.total(), sum(self._before.values())
        psi = 0.0
        for label in self._labels():
            now = max(self._now[label] / total, _FLOOR)
            before = max(self._before.get(label, 0.0) / total_before, _FLOOR)
            psi += (now - before) * math.log(now / before)
        return Drift(
            psi, self._now[fallback] / total, self._before.get(fallback, 0.0) / total_before
        )
