"""Explaining looks and does not touch: no memo, no counter, no call that costs anything."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.taxonomies import LABELS, TEN, UNCLASSIFIED
from waybill.core.errors import TierUnavailable
from waybill.core.names import SlowTierName
from waybill.core.reason_words import advice_on
from waybill.core.reasons import RECORD_REASONS, Reason
from waybill.core.records import Verdict
from waybill.labelling.explain import explain
from waybill.labelling.explanation_text import show
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.rules.loading import load_ruleset
from waybill.labelling.rules.ruleset import RuleSet
from waybill.labelling.telemetry import Recording
from waybill.labelling.tier import Answer, Scope, Tier
from waybill.settings.schema import RouteSettings, Settings

RULES = """
rules:
- {id: shadow, label: Error, pattern: 'boom', mode: shadow}
- {id: crm, label: User Action, pattern: 'boom', where: {source: ['crm*']}}
- {id: slow, label: Error, pattern: '^(?=(a|aa)+$)'}
- {id: boom, label: Critical Error, pattern: 'boom'}
"""
Said = Verdict | TierUnavailable | None


class Adviser:
    """A tier that can be consulted and must not be asked."""

    version = "adviser@1"
    most_texts = 20_000
    wait_secs = 1.0

    def __init__(self, name: SlowTierName, said: Said) -> None:
        self.name = name
        self.said = said
        self.asked = 0

    def submit(self, texts: Sequence[str], scope: Scope) -> Sequence[Answer]:
        self.asked += 1
        return [asyncio.get_running_loop().create_future() for _ in texts]

    async def consult(self, text: str, scope: Scope) -> Verdict | None:
        if isinstance(self.said, TierUnavailable):
            raise self.said
        return self.said

    async def close(self) -> None: ...


@pytest.fixture(name="rules")
async def _rules(tmp_path: Path) -> RuleSet:
    (tmp_path / "rules.yaml").write_text(RULES)
    return await load_ruleset([tmp_path], labels=LABELS)


def build(rules: RuleSet, *tiers: Tier, telemetry: Recording | None = None) -> Pipeline:
    routes = (
        RouteSettings(("only-errors",), ("rules", "model"), ("Error",)),
        RouteSettings(("*",), ("rules", "model", "llm")),
    )
    return Pipeline(
        Settings(routes=routes), rules, {one.name: one for one in tiers}, telemetry, taxonomy=TEN
    )


async def why(pipeline: Pipeline, message: str, source: str = "s") -> tuple[Any, Any, Any]:
    told = (await explain(pipeline, None, source, message)).decision
    return told.label, told.tier, told.reason or told.rule


def state(pipeline: Pipeline, telemetry: Recording) -> object:
    edition = pipeline.edition
    return (
        dict(telemetry.counts),
        dict(telemetry.secs),
        dict(telemetry.last),
        edition.memo_entries(),
        list(edition.groups),
        list(edition.groups.distinct),
        edition.keep_every,
        dict(edition.rules.shadow_hits),
        edition.rules.unconfirmed,
        edition.rules.slow_rules(),
    )


async def test_explaining_changes_nothing(rules: RuleSet) -> None:
    telemetry = Recording()
    adviser = Adviser("model", Verdict("Error", "model", 0.9))
    pipeline = build(rules, adviser, telemetry=telemetry)
    before = state(pipeline, telemetry)
    for message in ("boom", "calm 17", "a" * 40 + "!", ""):
        for source in ("s", "crm-1", "only-errors"):
            await explain(pipeline, None, source, message)
    assert state(pipeline, telemetry) == before
    assert adviser.asked == 0


async def test_it_says_what_labelling_would_say_of_rules(rules: RuleSet) -> None:
    pipeline = build(rules)
    for message in ("boom", "aaa", "calm"):
        for source in ("s", "crm-1", "only-errors"):
            (verdict,) = await pipeline.label([message], [source])
            expected = (verdict.label, verdict.tier, verdict.reason or verdict.rule)
            assert await why(pipeline, message, source) == expected


@pytest.mark.parametrize(
    ("model", "llm", "expected"),
    [
        pytest.param(
            Verdict("Error", "model", 0.9, "m@1"),
            Verdict("User Action", "llm"),
            ("Error", "model", "m@1"),
            id="the first that decides",
        ),
        pytest.param(
            TEN.unclassified("unknown"),
            Verdict("User Action", "llm", None, "l@1"),
            ("User Action", "llm", "l@1"),
            id="the second if the first does not",
        ),
        pytest.param(
            TEN.unclassified("unknown"),
            None,
            (UNCLASSIFIED, "none", "unknown"),
            id="the first's word if the second has none",
        ),
        pytest.param(
            TierUnavailable("model", "encoder_unreachable"),
            TEN.unclassified("llm_not_asked"),
            (UNCLASSIFIED, "none", "llm_not_asked"),
            id="an encoder out of reach, an LLM that is not asked",
        ),
        pytest.param(
            None, None, (UNCLASSIFIED, "none", "undecided"), id="nobody has anything to say"
        ),
    ],
)
async def test_it_consults_the_tiers_in_their_order(
    rules: RuleSet, model: Said, llm: Said, expected: tuple[str, str, str]
) -> None:
    pipeline = build(rules, Adviser("model", model), Adviser("llm", llm))
    assert await why(pipeline, "calm") == expected


async def test_a_tier_that_is_off_is_named(rules: RuleSet) -> None:
    assert await why(build(rules), "calm") == (UNCLASSIFIED, "none", "llm_disabled")


@pytest.mark.parametrize("reason", get_args(Reason))
def test_each_reason_says_what_can_be_done_and_sends_nobody_to_a_file(reason: Reason) -> None:
    told = advice_on(reason)
    assert told.endswith(".")
    assert "docs/" not in told
    if reason not in RECORD_REASONS or reason in ("no_message", "message_not_a_string"):
        assert "as it came" not in told


async def test_a_reason_is_told_in_words_with_its_code_beside_them(rules: RuleSet) -> None:
    found = await explain(build(rules), None, "s", "calm")
    assert show(found).splitlines()[0] == f"{UNCLASSIFIED}: the LLM is off [llm_disabled]"
    plain = found.plain()
    assert (plain["reason"], plain["words"]) == ("llm_disabled", "the LLM is off")
    assert plain["advice"] == advice_on("llm_disabled")
