"""Each alert has a section in the runbook, and its address leads there."""

from __future__ import annotations

import re

import yaml

from tests.docs.blocks import ROOT
from tests.docs.test_links import anchors
from tests.peers.alerts import CASES

RUNBOOK = ROOT / "docs/alerts.md"
ALERTS = ROOT / "deploy/helm/waybill/files/alerts.yaml"


def names() -> list[str]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule["alert"] for group in groups for rule in group["rules"]]


def test_the_runbook_has_one_section_for_each_alert() -> None:
    headings = re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(names())


def test_the_anchor_that_the_chart_appends_exists() -> None:
    template = (ROOT / "deploy/helm/waybill/templates/monitoring.yaml").read_text()
    assert 'printf "%s#%s" . (lower $rule.alert)' in template
    assert {name.lower() for name in names()} <= anchors(RUNBOOK)


def test_each_section_says_what_to_do() -> None:
    for section in RUNBOOK.read_text().split("\n## ")[1:]:
        heading, _, text = section.partition("\n")
        assert len(text.split()) > 15, heading


def test_each_alert_has_series_on_which_promtool_tries_it() -> None:
    assert sorted(CASES) == sorted(names())
