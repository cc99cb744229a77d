"""Every word of the closed sets of reasons is explained, and no word that is in none of them."""

from __future__ import annotations

import re

import pytest

from tests.docs.blocks import ROOT
from waybill.core import reasons
from waybill.core.names import words

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


def test_reasons_of_records_are_explained() -> None:
    section = (
        (ROOT / "docs/labels.md").read_text().partition("## Reasons\n")[2].partition("\n## ")[0]
    )
    assert set(words(reasons.Reason)) <= set(re.findall(r"`(\w+)`", section))
