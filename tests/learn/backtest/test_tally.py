"""Sums of a backtest whose listed masks are bounded."""

from __future__ import annotations

import pytest

from waybill.learn.backtest.corrections import Corrections
from waybill.learn.backtest.result import Backtest, Said, SideReport
from waybill.learn.backtest.tally import Tally
from waybill.web.groups import groups_of, warnings_of

OLD, NEW, OTHER = Said("Error", "old-rule"), Said("User Action", "own"), Said("Error", "model")


@pytest.mark.parametrize("most", [0, 1, 3, 1000])
def test_masks_that_are_not_listed_are_counted_in_their_group(most: int) -> None:
    found = Backtest("patterns", "patterns", 0, 0, 0, SideReport("a", 1, "1", None), SideReport(
        "b", 1, "2", None))  # fmt: skip
    tally = Tally(found, Corrections([]), most)
    for number in range(6):
        before = OLD if number % 2 else OTHER
        for source in ("shop", "crm"):  # of one mask one after the other
            tally.count(f"mask {'x' * number}", source, [(before, NEW)], 10, too_many=1)
    tally.finish()
    assert len(found.changes) == min(most, 6)
    assert found.changed_patterns == 6
    assert (found.low, found.high) == (108, 120)
    (group,) = groups_of(found, {})
    assert (group.patterns, group.low, group.high) == (6, 108, 120)
    assert [one for one in warnings_of(found) if "60 records a day from rule old-rule" in one]


def test_a_group_is_another_one_when_more_masks_are_counted() -> None:
    marks = set()
    for count in (3, 4):
        found = Backtest("patterns", "patterns", 0, 0, 0, SideReport("a", 1, "1", None), SideReport(
            "b", 1, "2", None))  # fmt: skip
        tally = Tally(found, Corrections([]), 2)
        for number in range(count):
            tally.count(f"mask {'x' * number}", "shop", [(OLD, NEW)], 10)
        tally.finish()
        marks.add(groups_of(found, {})[0].mark)
    assert len(marks) == 2
