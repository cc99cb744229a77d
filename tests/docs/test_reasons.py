"""Every word of the closed sets of reasons is explained, and no word that is in none of them."""

from __future__ import annotations

import json
import re

import pytest

from tests.docs.blocks import ROOT
from waybill.core import reasons
from waybill.core.names import words
from waybill.core.reason_words import REASONS, reason_words
from waybill.core.reasons import Reason

PAGE = (ROOT / "docs/reasons.md").read_text()
SECTIONS = {
    "Refused batches": reasons.RefusalReason,
    "Failed handbacks": reasons.HandbackCode,
    "Closed connections": reasons.ConnectionReason,
    "Refused rules": reasons.RuleCode,
    "Refused corrections": reasons.CorrectionCode,
    "Corrections that were not taken": reasons.CorrectCode,
    "Refused models": reasons.BundleCode,
    "Patterns": reasons.PatternFault,
    "Tiers that could not answer": reasons.TierCode,
}


def rows(section: str) -> set[str]:
    """The reasons in the first column of the tables of ``section``."""
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
    return {word for cell in cells for word in re.findall(r"`(\w+)`", cell)}


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_explains_its_set(section: str) -> None:
    assert rows(section) == set(words(SECTIONS[section]))


def test_model_pulls_are_explained() -> None:
    of_bundles = set(words(reasons.BundleCode))
    listed = rows("Model versions that were not pulled")
    assert listed | of_bundles == set(words(reasons.PullReason))


def test_pulls_of_corrections_are_explained() -> None:
    of_files = set(words(reasons.CorrectionCode))
    listed = rows("Corrections that were not fetched")
    assert listed | of_files == set(words(reasons.CorrectionPullCode))


def test_pulls_of_rules_are_explained() -> None:
    of_files = set(words(reasons.RuleCode))
    listed = rows("Rules that were not fetched")
    assert listed | of_files == set(words(reasons.RulePullCode))


def test_the_store_is_explained() -> None:
    section = PAGE.partition("## Verdict store\n")[2]
    assert set(words(reasons.StoreCode)) <= set(re.findall(r"`(\w+)`", section))


def test_every_reason_of_a_record_has_words() -> None:
    assert set(REASONS) == set(words(reasons.Reason))
    assert reason_words("of_tomorrow") == "of_tomorrow"
    assert reason_words(None) == ""
    told = [one.words for one in REASONS.values()]
    assert len(set(told)) == len(told)


@pytest.mark.parametrize("reason", REASONS)
def test_pages_docs_and_the_api_say_the_same_words(reason: Reason) -> None:
    """``settings.generate --check`` holds that they are made of one table; this, that they show it."""
    page = (ROOT / "docs/labels.md").read_text()
    told = REASONS[reason]
    assert f"| `{reason}` | {told.words} |" in page
    described = json.loads((ROOT / "sidecar/waybill/api/openapi.json").read_text())
    schema = {"const": reason, "description": told.words}
    assert schema in described["components"]["schemas"]["Reason"]["oneOf"]
