"""The pipeline: a verdict for every record, in order, whatever the tiers do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.taxonomies import LABELS, TEN, UNCLASSIFIED
from waybill.core.errors import TierUnavailable
from waybill.core.names import SlowTierName
from waybill.core.prepare import prepare
from waybill.core.records import Verdict
from waybill.labelling import groups
from waybill.labelling.masking import mask
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.rules.artefact import Artefact
from waybill.labelling.rules.loading import load_ruleset
from waybill.labelling.rules.ruleset import RuleSet
from waybill.labelling.telemetry import Recording
from waybill.labelling.texts import Texts
from waybill.labelling.tier import Answer, Scope, Tier
from waybill.settings.schema import RouteSettings, Settings
from waybill.settings.sources import load_settings

RULES = """
rules:
- {id: boom, label: Critical Error, pattern: 'boom \\d+'}
- {id: crm, label: User Action, pattern: 'clicked', where: {source: ['crm*']}}
- {id: quiet, label: Error, pattern: 'quiet', mode: shadow}
"""
Outcome = Callable[[str], Verdict | BaseException | None]


class FakeTier:
    """A slow tier that answers as it is told, and remembers what it was asked."""

    version = "fake@1"
    most_texts = 20_000

    def __init__(self, name: SlowTierName, answer: Outcome, wait_secs: float = 5) -> None:
        self.name, self.answer, self.wait_secs = name, answer, wait_secs
        self.asked: list[str] = []
        self.held: list[Answer] = []
        self.is_holding = False

    def submit(self, texts: Sequence[str], scope: Scope) -> Sequence[Answer]:
        futures: list[Answer] = []
        for text in texts:
            self.asked.append(text)
            future: Answer = asyncio.get_running_loop().create_future()
            futures.append(future)
            if self.is_holding:
                self.held.append(future)
                continue
            outcome = self.answer(text)
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
        return futures

    async def consult(self, text: str, scope: Scope) -> Verdict | None:
        outcome = self.answer(text)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def close(self) -> None: ...


def model(label: str = "Error") -> FakeTier:
    return FakeTier("model", lambda text: Verdict(label, "model", 0.9, "fake@1"))


def lookups(recording: Recording) -> dict[tuple[str, ...], int]:
    """Records by memo level, those above 0."""
    return {
        key: count for key, count in recording.counts.items() if key[0] == "memo_answered" and count
    }


def failures(recording: Recording) -> list[tuple[str, ...]]:
    return [key for key in recording.counts if key[0] == "tier_failed"]


@pytest.fixture(name="rules")
async def _rules(tmp_path: Path) -> RuleSet:
    (tmp_path / "rules.yaml").write_text(RULES)
    return await load_ruleset([tmp_path], labels=LABELS)


def build(
    rules: RuleSet,
    *tiers: Tier,
    routes: Sequence[RouteSettings] | None = None,
    watch: Recording | None = None,
) -> Pipeline:
    base = load_settings(environ={})
    chosen = Settings(routes=tuple(routes)) if routes is not None else base
    return Pipeline(chosen, rules, {tier.name: tier for tier in tiers}, watch, taxonomy=TEN)


async def labels(
    pipeline: Pipeline, *messages: str | None, source: str = "s"
) -> list[tuple[str, str, str | None]]:
    verdicts = await pipeline.label(messages, [source] * len(messages))
    return [(verdict.label, verdict.tier, verdict.reason) for verdict in verdicts]


async def test_rules_come_before_the_model_and_the_memo_before_both(rules: RuleSet) -> None:
    tier, watch = model(), Recording()
    pipeline = build(rules, tier, watch=watch)
    for _ in range(2):
        assert await labels(pipeline, "boom 1", "calm 1", "calm 22", None) == [
            ("Critical Error", "rule", None),
            ("Error", "model", None),
            ("Error", "model", None),
            (UNCLASSIFIED, "none", "no_message"),
        ]
    assert tier.asked == ["calm 0"]
    # Each record is counted once, at the level that answered it; one without a message at none.
    levels = {level: count for (_, level), count in lookups(watch).items()}
    assert levels == {"rules": 1, "none": 2 + 2, "exact": 1, "shape": 2}


async def test_a_message_of_a_known_shape_asks_nobody(rules: RuleSet) -> None:
    tier = model()
    pipeline = build(rules, tier)
    await labels(pipeline, "job 17 took 3 ms")
    assert await labels(pipeline, "job 29 took 8 ms") == [("Error", "model", None)]
    assert tier.asked == [mask("job 17 took 3 ms")]


async def test_where_narrows_a_rule_to_its_sources(rules: RuleSet) -> None:
    pipeline = build(rules, model())
    assert (await labels(pipeline, "clicked", source="crm-7"))[0][1] == "rule"
    assert (await labels(pipeline, "clicked", source="shop"))[0][1] == "model"


async def test_legacy_crm_never_sees_rules_or_model(rules: RuleSet) -> None:
    tier = model()
    pipeline = build(rules, tier)
    assert await labels(pipeline, "boom 1", source="LegacyCRM") == [
        (UNCLASSIFIED, "none", "llm_disabled")
    ]
    assert tier.asked == []


async def test_a_route_answers_only_the_labels_it_permits(rules: RuleSet) -> None:
    routes = [RouteSettings(("*",), ("rules", "model"), ("User Action",))]
    pipeline = build(rules, model("User Action"), routes=routes)
    assert (await labels(pipeline, "boom 1"))[0][:2] == ("User Action", "model")
    assert pipeline.edition.paths[0].route.scope.permits("User Action")
    assert not pipeline.edition.paths[0].route.scope.permits("Error")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (TierUnavailable("model", "overloaded"), "model_overloaded"),
        (RuntimeError("boom"), "model_failed"),
        (None, "undecided"),
        (TEN.unclassified("unknown", confidence=0.2), "unknown"),
    ],
)
async def test_a_tier_that_does_not_decide_leaves_the_record_unclassified(
    rules: RuleSet, answer: BaseException | Verdict | None, reason: str
) -> None:
    watch = Recording()
    pipeline = build(rules, FakeTier("model", lambda text: answer), watch=watch)
    assert await labels(pipeline, "calm", "boom 1") == [
        (UNCLASSIFIED, "none", reason),
        ("Critical Error", "rule", None),
    ]
    is_failure = isinstance(answer, BaseException)
    expected = [("tier_failed", "model", reason.removeprefix("model_"))] if is_failure else []
    assert failures(watch) == expected


async def test_a_failure_is_not_remembered(rules: RuleSet) -> None:
    tier = FakeTier("model", lambda text: RuntimeError())
    pipeline = build(rules, tier)
    await labels(pipeline, "calm")
    tier.answer = lambda text: Verdict("Error", "model", 0.9)
    assert await labels(pipeline, "calm") == [("Error", "model", None)]


async def test_a_tier_that_refuses_a_batch_costs_it_the_label_only(rules: RuleSet) -> None:
    class Full(FakeTier):
        def submit(self, texts: Sequence[str], scope: Scope) -> Sequence[Answer]:
            raise TierUnavailable("model", "overloaded")

    assert await labels(build(rules, Full("model", lambda text: None)), "calm") == [
        (UNCLASSIFIED, "none", "model_overloaded")
    ]


async def test_a_rule_engine_that_fails_costs_its_records_the_label_only(
    rules: RuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Recording()
    pipeline = build(rules, model(), watch=watch)

    def explode(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(rules, "first_matches", explode)
    assert await labels(pipeline, "calm", "boom 1") == [(UNCLASSIFIED, "none", "rules_failed")] * 2
    assert failures(watch) == [("tier_failed", "rule", "failed")]


async def test_what_comes_too_late_is_pending_and_serves_the_next(rules: RuleSet) -> None:
    tier = FakeTier("model", lambda text: None, wait_secs=0.01)
    tier.is_holding = True
    pipeline = build(rules, tier)
    assert await labels(pipeline, "calm") == [(UNCLASSIFIED, "pending", "model_over_budget")]
    tier.held[0].set_result(Verdict("Error", "model", 0.9))
    await asyncio.sleep(0)
    assert await labels(pipeline, "calm") == [("Error", "model", None)]
    assert len(tier.asked) == 1


async def test_the_next_tier_is_asked_only_for_what_is_left(rules: RuleSet) -> None:
    first = FakeTier(
        "model",
        lambda text: TEN.unclassified("unknown") if "odd" in text else Verdict("Error", "model"),
    )
    second = FakeTier("llm", lambda text: Verdict("Workflow Error", "llm", 0.8))
    routes = [RouteSettings(("*",), ("rules", "model", "llm"))]
    pipeline = build(rules, first, second, routes=routes)
    assert [label for label, _, _ in await labels(pipeline, "plain", "odd", "boom 1")] == [
        "Error", "Workflow Error", "Critical Error",
    ]  # fmt: skip
    assert second.asked == ["odd"]
    await labels(pipeline, "odd")
    assert second.asked == ["odd"]


async def test_an_unclassified_of_an_earlier_tier_stands_when_the_next_fails_and_is_asked_again(
    rules: RuleSet,
) -> None:
    first = FakeTier("model", lambda text: TEN.unclassified("unknown"))
    second = FakeTier("llm", lambda text: RuntimeError())
    pipeline = build(rules, first, second, routes=[RouteSettings(("*",), ("model", "llm"))])
    assert await labels(pipeline, "odd") == [(UNCLASSIFIED, "none", "llm_failed")]
    second.answer = lambda text: Verdict("Error", "llm", 0.7)
    assert await labels(pipeline, "odd") == [("Error", "llm", None)]


async def test_new_rules_hold_from_the_next_batch_on_and_the_models_verdicts_stay(
    rules: RuleSet, tmp_path: Path
) -> None:
    tier = model()
    pipeline = build(rules, tier)
    await labels(pipeline, "calm 1", "boom 1")
    (tmp_path / "rules.yaml").write_text(
        "rules:\n- {id: calm, label: User Action, pattern: 'calm 2'}\n"
    )
    pipeline.swap_rules(await load_ruleset([tmp_path], labels=LABELS))
    assert [tier for _, tier, _ in await labels(pipeline, "calm 1", "calm 2", "boom 1")] == [
        "model",
        "rule",
        "model",
    ]
    assert tier.asked == ["calm 0", "boom 0"]


async def test_a_new_model_forgets_what_the_old_one_said(rules: RuleSet) -> None:
    pipeline = build(rules, model("Error"))
    await labels(pipeline, "calm 1")
    pipeline.swap_tier(model("User Action"))
    assert await labels(pipeline, "calm 1") == [("User Action", "model", None)]


async def test_a_batch_is_labelled_under_the_edition_it_began_with(
    rules: RuleSet, tmp_path: Path
) -> None:
    tier = model()
    tier.is_holding = True
    pipeline = build(rules, tier)
    running = asyncio.ensure_future(labels(pipeline, "calm", "boom 1"))
    await asyncio.sleep(0)
    (tmp_path / "rules.yaml").write_text("rules: []")
    pipeline.swap_rules(await load_ruleset([tmp_path], labels=LABELS))
    tier.held[0].set_result(Verdict("Error", "model"))
    assert [label for label, _, _ in await running] == ["Error", "Critical Error"]


async def test_messages_that_never_come_again_stop_being_kept_and_those_that_do_are_kept_again(
    rules: RuleSet,
) -> None:
    pipeline = build(rules, model())
    for batch in range(20):
        await labels(pipeline, *[f"boom {batch * 1000 + i}" for i in range(1000)])
    assert pipeline.edition.keep_every == 16
    for _ in range(20):
        await labels(pipeline, *[f"boom {i}" for i in range(1000)])
    assert pipeline.edition.keep_every == 1


async def test_many_sources_do_not_grow_the_table_without_bound(rules: RuleSet) -> None:
    pipeline = build(rules, model())
    for start in range(0, 25_000, 5000):
        await pipeline.label(["calm"] * 5000, [f"source-{start + i}" for i in range(5000)])
    assert len(pipeline.edition.groups) <= 10_000


async def test_an_empty_batch_gets_no_verdicts(rules: RuleSet) -> None:
    assert await labels(build(rules, model())) == []


outcomes = st.sampled_from(["label", "none", "fail", "refuse"])
texts = st.lists(
    st.one_of(st.none(), st.text(alphabet="ab 1boom\ud800é", max_size=12)), max_size=30
)


@settings(max_examples=60, deadline=None)
@given(texts, outcomes)
def test_as_many_verdicts_as_messages_whatever_happens(
    messages: list[str | None], outcome: str
) -> None:
    async def run() -> None:
        def answer(text: str) -> Verdict | BaseException | None:
            return {
                "label": Verdict("Error", "model"),
                "none": None,
                "fail": ValueError(),
                "refuse": None,
            }[outcome]

        rules = RuleSet(Artefact("0" * 64))
        verdicts = await build(rules, FakeTier("model", answer)).label(
            messages, ["s"] * len(messages)
        )
        assert len(verdicts) == len(messages)
        assert all(verdict.label in LABELS for verdict in verdicts)
        for message, verdict in zip(messages, verdicts, strict=True):
            assert (verdict.reason == "no_message") == (not prepare(message or ""))
            assert verdict.label != UNCLASSIFIED or verdict.reason

    asyncio.run(run())


@pytest.mark.parametrize(
    ("method", "reason"), [("decide", "rules_failed"), ("path_index", "record_failed")]
)
async def test_a_record_on_which_labelling_raises_leaves_its_neighbours_alone(
    rules: RuleSet, monkeypatch: pytest.MonkeyPatch, method: str, reason: str
) -> None:
    owner = groups.SourceGroup if method == "decide" else groups.SourceGroups
    real = getattr(owner, method)

    def fail(self: object, wanted: Texts | str) -> object:
        if "poison" in (wanted.prepared if isinstance(wanted, Texts) else wanted):
            raise KeyError
        return real(self, wanted)

    monkeypatch.setattr(owner, method, fail)
    pipeline = build(rules)
    messages = [f"boom {i}" for i in range(9)]
    messages[2] = messages[7] = "poison"
    verdicts = await pipeline.label(
        messages, ["poison" if "p" in text else "s" for text in messages]
    )
    assert [i for i, one in enumerate(verdicts) if one.reason == reason] == [2, 7]
    assert {one.label for i, one in enumerate(verdicts) if i not in (2, 7)} == {"Critical Error"}
