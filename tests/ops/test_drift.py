"""Label drift: quiet while shares stay, loud when they shift, silent on too little."""

from __future__ import annotations

import pytest

from tests.taxonomies import UNCLASSIFIED
from waybill.ops.drift import HALF_LIFE_SECS, LEAST_VERDICTS, WINDOW_SECS, Drift, LabelDrift

USUAL = {"System Notification": 700, "Error": 200, UNCLASSIFIED: 100}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def windows(drift: LabelDrift, clock: Clock, counts: dict[str, int], number: int) -> Drift | None:
    found = None
    for _ in range(number):
        clock.now += WINDOW_SECS
        found = drift.add(counts, UNCLASSIFIED)
    return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_equal_shares_do_not_drift(clock: Clock) -> None:
    drift = LabelDrift(clock)
    assert windows(drift, clock, USUAL, 1) is None
    found = windows(drift, clock, USUAL, 5)
    assert found is not None
    assert found.psi == pytest.approx(0, abs=1e-9)
    assert (found.unclassified, found.unclassified_before) == pytest.approx((0.1, 0.1))


def test_a_shift_is_seen_and_fades_into_the_baseline(clock: Clock) -> None:
    drift = LabelDrift(clock)
    windows(drift, clock, USUAL, 10)
    shifted = windows(
        drift, clock, {"System Notification": 300, "Error": 200, UNCLASSIFIED: 500}, 1
    )
    assert shifted is not None
    # (0.3-0.7)ln(3/7) + (0.5-0.1)ln(5)
    assert shifted.psi == pytest.approx(0.3389 + 0.6438, abs=1e-3)
    assert shifted.unclassified == 0.5
    long = round(5 * HALF_LIFE_SECS / WINDOW_SECS)
    later = windows(
        drift, clock, {"System Notification": 300, "Error": 200, UNCLASSIFIED: 500}, long
    )
    assert later is not None
    assert later.psi < 0.1


def test_a_window_with_few_verdicts_waits(clock: Clock) -> None:
    drift = LabelDrift(clock)
    windows(drift, clock, USUAL, 2)
    assert windows(drift, clock, {"Error": LEAST_VERDICTS // 4}, 3) is None
    assert windows(drift, clock, {"Error": LEAST_VERDICTS}, 1) is not None


def test_a_label_that_appears_is_finite(clock: Clock) -> None:
    drift = LabelDrift(clock)
    windows(drift, clock, {"Error": 1000}, 2)
    found = windows(drift, clock, {"HTTP Status": 1000}, 1)
    assert found is not None
    assert found.psi > 1
