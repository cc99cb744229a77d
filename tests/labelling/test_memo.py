"""The memo forgets what was not used lately and stays within its bound."""

from __future__ import annotations

import sys

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from waybill.labelling.memo import ENTRY_BYTES, BoundedMap

LIMIT = 20 * (ENTRY_BYTES + 1)


class Machine(RuleBasedStateMachine):
    """A bounded map never gives a wrong value, and what was used last is there."""

    def __init__(self) -> None:
        super().__init__()
        self.map: BoundedMap[int] = BoundedMap(LIMIT)
        self.model: dict[str, int] = {}
        self.last: str | None = None

    @rule(key=st.sampled_from("abcdefghijklmnopqrstuvwxyz"), value=st.integers())
    def put(self, key: str, value: int) -> None:
        self.map.put(key, value)
        self.model[key] = value
        self.last = key

    @rule(key=st.sampled_from("abcdefghijklmnopqrstuvwxyz"))
    def get(self, key: str) -> None:
        value = self.map.get(key)
        assert value is None or value == self.model[key]
        self.last = key if value is not None else self.last

    @rule()
    def clear(self) -> None:
        self.map.clear()
        self.model.clear()
        self.last = None

    @invariant()
    def holds(self) -> None:
        assert len(self.map) <= 2 * (LIMIT // 2 // (ENTRY_BYTES + 1)) + 1
        assert self.last is None or self.map.get(self.last) == self.model[self.last]
        assert self.last is None or self.last in self.map


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


def test_the_hot_loops_view_of_the_young_generation_stays_valid() -> None:
    kept: BoundedMap[int] = BoundedMap(LIMIT)
    recent = kept.recent.get
    for i in range(1000):
        kept.put(f"key {i}", i)
        assert recent(f"key {i}") == i


def test_putting_what_is_there_already_pushes_nothing_out() -> None:
    kept: BoundedMap[int] = BoundedMap(LIMIT)
    kept.put("first", 1)
    for i in range(1000):
        kept.put("again", i)
    assert kept.recent == {"first": 1, "again": 999}


def test_an_entry_costs_about_what_is_reckoned() -> None:
    assert sys.getsizeof("x" * 100) + 104 <= ENTRY_BYTES + 100
