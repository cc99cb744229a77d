"""Rules and model are held against what people said."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.support.corrections import said
from tests.taxonomies import UNCLASSIFIED
from waybill.core.clock import ManualClock
from waybill.core.records import Verdict
from waybill.labelling.corrections.guard import hold_model, hold_rules
from waybill.labelling.corrections.table import make_table
from waybill.labelling.rules.ruleset import RuleSet

RULES = r"""
rules:
- {id: bad, label: Error, pattern: 'disk \d+ is bad'}
- {id: crm, label: Error, pattern: 'opened from \d+\.\d+', where: {source: [crm]}}
- {id: fault, label: Error, pattern: 'status 5\d\d'}
- {id: quiet, label: Error, pattern: 'quiet', mode: shadow}
"""


@pytest.mark.parametrize(
    ("message", "label", "source", "rule"),
    [
        ("disk 17 is bad", "User Action", "*", "the rule bad"),
        ("disk 17 is bad", "Error", "*", None),
        ("opened from 10.0.0.1", "User Action", "crm", "the rule crm"),
        ("opened from 10.0.0.1", "User Action", "nas", None),
        ("status 502", "User Action", "*", "the rule fault"),
        ("all is quiet", "User Action", "*", None),
        ("nothing", "User Action", "*", None),
    ],
)
def test_a_rule_that_says_another_label_is_found(
    rules: RuleSet, message: str, label: str, source: str, rule: str | None
) -> None:
    held = hold_rules(rules, make_table([said(message, label, source)]))
    assert [one.who for one in held.contradictions] == [rule] * (rule is not None)
    assert (held.looked_at, held.of) == (1, 1)


def test_holding_leaves_no_trace_in_the_rules(rules: RuleSet) -> None:
    hold_rules(rules, make_table([said("all is quiet", "User Action")]))
    assert not rules.take_counts().shadow_hits


def test_holding_ends_in_time_and_says_how_far_it_came(rules: RuleSet) -> None:
    clock = ManualClock()

    def tick() -> float:
        clock.advance(1.5)
        return clock()

    table = make_table([said("x" * size, "User Action") for size in range(1, 500)] * 2)
    many = make_table(
        [said(f"{'y' * (size % 200 + 1)} {'z' * (size // 200)}", "Error") for size in range(2000)]
    )
    assert hold_rules(rules, table, tick).looked_at < 499
    assert hold_rules(rules, many, tick).of > hold_rules(rules, many, tick).looked_at


def test_a_model_is_asked_about_a_sample(rules: RuleSet) -> None:
    asked: list[str] = []

    def predict(texts: Sequence[str]) -> list[Verdict]:
        asked.extend(texts)
        return [Verdict("Error", "model", 0.9, "m@1") for _ in texts]

    table = make_table([said("x" * size, "User Action") for size in range(1, 500)])
    held = hold_model(predict, table, UNCLASSIFIED)
    assert (held.looked_at, held.of) == (len(asked), 499)
    assert 100 < len(asked) <= 200
    assert len(held.contradictions) == len(asked)
    assert held.contradictions[0].who == "the model m@1"


def test_a_model_that_agrees_or_is_not_sure_contradicts_nobody() -> None:
    table = make_table([said("one thing", "Error"), said("another", "User Action")])
    answers = [Verdict("Error", "model", 0.9, "m@1"), Verdict(UNCLASSIFIED, "model")]
    assert hold_model(lambda _: answers, table, UNCLASSIFIED).contradictions == ()
    assert hold_model(lambda _: answers, make_table(()), UNCLASSIFIED).looked_at == 0
