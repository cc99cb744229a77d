"""Slow confirmations: bounded in time, seen, and over by themselves."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import regex

from tests.effort import allowed
from tests.patience import wait_until
from tests.taxonomies import LABELS
from waybill.core.clock import ManualClock
from waybill.core.errors import RuleError
from waybill.labelling.rules import compiler
from waybill.labelling.rules.confirming import Allowance, Confirmer
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.loading import compile_rules
from waybill.labelling.rules.pattern import translate
from waybill.labelling.rules.ruleset import RuleSet
from waybill.labelling.rules.schema import RuleSource

SUDO = r"(?<!test )user=(\S+).*cmd=.*\1"
TEXT = (
    "rules:\n"
    f"- {{id: sudo, label: Security Alert, pattern: '{SUDO}'}}\n"
    "- {id: any, label: Error, pattern: user}\n"
)
REAL = "user=eve tty=1 cmd=chmod eve"


def hostile(number: int) -> str:
    return "user=" + "a" * 3000 + " " + " cmd=" * 3000 + f"b{number}"


@pytest.fixture
async def rules() -> RuleSet:
    return await compile_rules([RuleFile("a.yaml", TEXT.encode())], labels=LABELS)


def decided(rules: RuleSet, message: str) -> str | None:
    rule = rules.first_match(message)
    return rule.id if rule else None


def test_five_hostile_lines_do_not_blind_a_rule(rules: RuleSet) -> None:
    assert [decided(rules, hostile(i)) for i in range(5)] == ["any"] * 5
    assert decided(rules, REAL) == "sudo"


def test_a_flood_puts_a_rule_out_of_force_for_a_while_and_it_is_seen(rules: RuleSet) -> None:
    for i in range(60):
        decided(rules, hostile(i))
    (told,) = rules.slow_rules()
    assert (told["rule"], told["file"], told["line"]) == ("sudo", "a.yaml", 2)
    assert told["times_out_of_force"] >= 1
    assert not told["is_in_force"]
    counts = rules.take_counts()
    assert counts.timeouts > 0
    assert counts.unconfirmed == 60
    wait_until(lambda: decided(rules, REAL) == "sudo")
    (told,) = rules.slow_rules()
    assert told["is_in_force"]


def test_slow_and_quick_lines_in_turn_cost_no_more(rules: RuleSet) -> None:
    """With a limit on slow lines in a row, one quick line in five kept the rule in force."""
    lines = [hostile(i) if i % 5 else REAL for i in range(1000)]
    begin = time.process_time()
    rules.first_matches(lines)
    assert time.process_time() - begin < allowed(0.2)


def test_many_slow_rules_share_one_allowance(tmp_path: Path) -> None:
    slow = "".join(
        f"- {{id: r{i}, label: Error, pattern: '(?<!q{i})a*(?!b)ab*(?=z)'}}\n" for i in range(60)
    )
    rules = asyncio.run(
        compile_rules([RuleFile("a.yaml", f"rules:\n{slow}".encode())], labels=LABELS)
    )
    messages = ["a" * 2000 + f" z{i}" for i in range(60)]
    begin = time.process_time()
    rules.first_matches(messages)
    assert time.process_time() - begin < allowed(0.5)


def test_a_turn_is_short_while_confirming_takes_long(rules: RuleSet) -> None:
    sizes = []
    for turn in range(12):
        sizes.append(rules.pace.messages(4096))
        # What confirming took is set, not measured: on a busy machine little of it is confirming.
        rules._confirmer.spent_secs += 0.02 if turn > 6 else 0.0001
    assert sizes[0] <= 128
    assert sizes[6] > sizes[0]
    assert min(sizes[8:]) < sizes[7]


async def test_rules_without_confirmation_take_whole_turns() -> None:
    text = b"rules:\n- {id: a, label: Error, pattern: boom}"
    rules = await compile_rules([RuleFile("a.yaml", text)], labels=LABELS)
    assert rules.pace.messages(4096) == 4096
    assert rules.slow_rules() == []


def test_waiting_for_the_processor_costs_no_match() -> None:
    """On a busy node a pause falls into a confirmation now and then; here into each."""
    confirmer = Confirmer(itertools.count(0, 0.1).__next__)
    one = confirmer.add("sudo", "a.yaml", 2, regex.compile(SUDO))
    confirmer.begin_message()
    assert all(confirmer.confirms(one, REAL) for _ in range(9))
    assert (confirmer.unconfirmed, confirmer.describe()) == (0, [])


def test_the_allowance_follows_the_clock() -> None:
    clock = ManualClock(100)
    allowance = Allowance(0.02, clock)
    allowance.spend(0.03)
    assert allowance.share() == pytest.approx(-0.5)
    clock.advance(1)
    assert allowance.share() == pytest.approx(0.5)
    clock.advance(1000)
    assert allowance.share() == 1


class OnceLate:
    """A pattern whose first search runs out of time, as on a machine that is busy elsewhere."""

    def __init__(self, pattern: regex.Pattern[str]) -> None:
        self._pattern = pattern
        self.searches = 0

    def search(self, text: str, *, timeout: float) -> regex.Match[str] | None:
        self.searches += 1
        if self.searches == 1:
            raise TimeoutError
        return self._pattern.search(text, timeout=max(timeout, 5))


def test_a_busy_machine_does_not_refuse_a_sample(
    rules: RuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    sudo = rules.rules[0]
    assert sudo.confirm is not None
    late = OnceLate(sudo.confirm.pattern)
    monkeypatch.setattr(sudo.confirm, "pattern", late)
    assert [rule.id for rule in rules.matching(REAL)] == ["sudo", "any"]
    assert late.searches == 2


@pytest.mark.parametrize(("step", "codes"), [(0.0, []), (10.0, ["pattern"])])
def test_a_busy_machine_refuses_no_pattern(
    step: float, codes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of the wall goes on; the processor's decides."""
    spent, wall = itertools.count(0, step), itertools.count(0, 1000)
    clocks = SimpleNamespace(process_time=lambda: next(spent))
    for clock in ("time", "monotonic", "perf_counter"):
        setattr(clocks, clock, lambda: next(wall))
    monkeypatch.setattr("waybill.labelling.rules.compiler.time", clocks)
    monkeypatch.setattr(compiler, "_note_rule", lambda *_: None)
    faults: list[RuleError] = []
    source = RuleSource("a", "Error", "abc", "a.yaml", 1)
    assert compiler._fits_database(source, translate("abc"), faults)
    assert [fault.code for fault in faults] == codes
