"""Each alert has a section in the runbook, and its address leads there."""

from __future__ import annotations

import re
from typing import get_args

import yaml

from tests.docs.blocks import ROOT
from tests.docs.test_links import anchors
from tests.peers.alerts import CASES
from waybill.core.reasons import HandbackCode, RefusalReason
from waybill.ops.metrics import Metrics

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


def test_the_first_event_of_a_series_that_was_not_there_before_is_told() -> None:
    """`increase` shows nothing of a counter that begins at 1, as one with labels does."""
    born = {one.name for family in Metrics("0").registry.collect() for one in family.samples}
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            for name in re.findall(r"increase\((\w+)[^]]*\[10m\]\) > 0", rule["expr"]):
                assert name in born or f"unless {name} offset 10m" in rule["expr"], rule["alert"]


#: Refusals that nobody is woken for: Waybill ends, or somebody asked for something else than to
#: have a batch labelled.
QUIET = {
    *("draining", "stopped"),
    *("out_of_scope", "cross_site", "fields", "multipart"),
    *("csv_columns", "csv_encoding", "csv_row", "csv_row_too_large"),
}


def flat(kind: object) -> set[str]:
    """The words of a Literal, which may be made of others."""
    return {word for one in get_args(kind) for word in (flat(one) or {str(one)})}


def test_each_reason_of_a_refused_batch_has_one_alert_or_none_on_purpose() -> None:
    text = ALERTS.read_text()
    alerts = [
        rule["expr"]
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
        if "waybill_batches_refused_total" in rule["expr"]
    ]
    patterns = [re.search(r'reason=~"([^"]+)"', expr) for expr in alerts]
    # A push that failed is counted by waybill_handback_errors_total, which has an alert of its own.
    for reason in flat(RefusalReason) - flat(HandbackCode):
        told = [one for one in patterns if one is not None and re.fullmatch(one[1], reason)]
        assert len(told) == (0 if reason in QUIET else 1), reason
