"""Corrections decide before rules, memo and model, on every route."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.corrections import said
from tests.taxonomies import TEN
from waybill.core.correction import Correction, new_correction
from waybill.core.prepare import prepare
from waybill.core.records import Verdict
from waybill.labelling.corrections.table import make_table
from waybill.labelling.explain import explain
from waybill.labelling.masking import mask
from waybill.labelling.memo import MaskMemo
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.rules.ruleset import RuleSet
from waybill.labelling.telemetry import Recording
from waybill.settings.schema import RouteSettings, Settings

RULES = "rules:\n- {id: left, label: User Action, pattern: 'left'}\n"


def pipeline(rules: RuleSet, *said: Correction, telemetry: Recording | None = None) -> Pipeline:
    return Pipeline(Settings(), rules, {}, telemetry, taxonomy=TEN, corrections=make_table(said))


async def labels(labelling: Pipeline, *pairs: tuple[str, str]) -> list[tuple[str, str]]:
    """Label and tier of each (message, source)."""
    found = await labelling.label([text for text, _ in pairs], [source for _, source in pairs])
    return [(verdict.label, verdict.tier) for verdict in found]


async def test_a_correction_beats_rules_and_holds_for_what_is_masked_alike(rules: RuleSet) -> None:
    labelling = pipeline(rules, said("User 17 left", "Security Alert"))
    found = await labels(labelling, ("User 99 left", "crm"), ("Ann left", "crm"))
    assert found == [("Security Alert", "correction"), ("User Action", "rule")]


async def test_a_correction_of_the_source_goes_before_one_of_all(rules: RuleSet) -> None:
    labelling = pipeline(
        rules, said("User 1 left", "Error", "crm"), said("User 1 left", "Security Alert")
    )
    asked = [("User 2 left", "crm"), ("User 2 left", "nas"), ("User 2 left", "")] * 3
    for _ in range(3):  # the memo answers the second time
        assert (
            await labels(labelling, *asked)
            == [
                ("Error", "correction"),
                ("Security Alert", "correction"),
                ("Security Alert", "correction"),
            ]
            * 3
        )


async def test_a_reload_beats_what_the_memo_holds(rules: RuleSet) -> None:
    labelling = pipeline(rules)
    for standing, expected in [
        ((), ("User Action", "rule")),
        ((said("User 1 left", "Error"),), ("Error", "correction")),
        ((said("User 1 left", "Error", "crm"),), ("Error", "correction")),
        ((), ("User Action", "rule")),
    ]:
        labelling.swap_corrections(make_table(standing))
        for _ in range(2):
            assert await labels(labelling, ("User 1 left", "crm")) == [expected]


async def test_a_route_without_tiers_and_with_other_labels_obeys_as_well(rules: RuleSet) -> None:
    route = RouteSettings(source=("*",), tiers=(), labels=("Error",))
    table = make_table([said("User 1 left", "Security Alert")])
    labelling = Pipeline(Settings(routes=(route,)), rules, {}, taxonomy=TEN, corrections=table)
    found = await labels(labelling, ("User 1 left", ""), ("other", ""))
    assert found == [("Security Alert", "correction"), ("Unclassified", "none")]


async def test_records_are_counted_by_what_answered(rules: RuleSet) -> None:
    telemetry = Recording()
    labelling = pipeline(rules, said("User 1 left", "Error"), telemetry=telemetry)
    messages = ["User 1 left", "Ann left", "nothing", "", None]
    await labelling.label(messages, ["x"] * 5)
    counted = {
        key[1]: count for key, count in telemetry.counts.items() if key[0] == "memo_answered"
    }
    assert counted == {
        "corrections": 1, "rules": 1, "shape": 0, "exact": 0, "none": 3
    }  # fmt: skip


async def test_blank_messages_have_no_correction(rules: RuleSet) -> None:
    labelling = pipeline(rules, said("User 1 left", "Error"))
    assert await labels(labelling, (" \x1b[0m", "")) == [("Unclassified", "none")]


async def test_many_corrected_sources_share_the_memo(rules: RuleSet) -> None:
    names = [f"service-{i}" for i in range(600)]
    labelling = pipeline(rules, *(said("User 1 left", "Error", name) for name in names))
    asked = [("User 1 left", name) for name in names]
    for _ in range(2):
        assert set(await labels(labelling, *asked)) == {("Error", "correction")}
    assert len(labelling.edition.groups.distinct) == 1
    assert labelling.edition.memo_entries() == 600


async def test_explaining_says_who_said_so_and_which_rule_is_overruled(rules: RuleSet) -> None:
    said = new_correction(mask("User 1 left"), "Error", by="ann", note="really")
    labelling = pipeline(rules, said)
    labelling.corrections.tell = {said.id: said}.get
    found = (await explain(labelling, None, "crm", "User 5 left")).plain()
    assert (found["label"], found["tier"], found["rule"]) == ("Error", "correction", said.id)
    assert found["correction"] == {
        "id": said.id,
        "is_disputed": False,
        "source": "*",
        "by": "ann",
        "at": said.at,
        "note": "really",
        "overrules": {"rule": "left", "label": "User Action"},
    }
    assert "correction" not in (await explain(labelling, None, "crm", "Ann left")).plain()


@given(st.lists(st.text(max_size=40), max_size=8))
@settings(max_examples=50)
def test_the_memo_of_masks_gives_what_masking_gives(texts: Sequence[str]) -> None:
    prepared = [prepare(text) for text in texts]
    memo = MaskMemo(500)
    for _ in range(2):
        assert memo.masks(prepared) == [mask(text) for text in prepared]


def test_a_mask_is_made_once_for_each_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    masked: list[str] = []

    def note(text: str) -> str:
        masked.append(text)
        return mask(text)

    monkeypatch.setattr("waybill.labelling.memo.mask", note)
    lookup = make_table([said("User 1 left", "Error")]).for_source("*", MaskMemo(10_000))
    lookup.verdicts(["User 1 left", "User 2 left"])
    lookup.verdicts(["User 3 left"])
    assert masked == ["User 1 left"]


def test_a_verdict_is_one_object_for_all_its_records() -> None:
    table = make_table([said("User 1 left", "Error"), said("disk 1", "Error", "nas")])
    first, second = table.for_source("nas").verdicts(["User 1 left", "User 2 left"])
    assert first is second
    assert isinstance(first, Verdict)
