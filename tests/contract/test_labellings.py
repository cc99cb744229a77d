"""Two labellings in one record, in every encoding: what is added, what stays, what is replaced."""

from __future__ import annotations

import pytest

from tests.contract.encodings import KINDS, Kind, Record
from waybill.core.batch import Passed
from waybill.core.records import Verdict
from waybill.settings.labellings import fields_of
from waybill.settings.schema import FieldSettings, LabellingSettings
from waybill.wire import FieldPlan, Wire

ALL = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.encoding.value)
HIGH = Verdict("High", "rule", 1.0, "ledger", None, {"team": "core"})
VERDICT = Verdict("Error", "model", 0.5, "m@1", None, {"zone": "z"}, beside=(HIGH,))
FIRST: Record = {
    "target_label": "Error",
    "label_tier": "model",
    "label_confidence": 0.5,
    "label_rule": "m@1",
}
SECOND: Record = {
    "severity": "High",
    "severity_tier": "rule",
    "severity_confidence": 1.0,
    "severity_rule": "ledger",
}
EXTRA: Record = {"zone": "z", "team": "core"}


def plan(*, relabel: bool = False, relabel_severity: bool = False) -> FieldPlan:
    first = FieldSettings(relabel=relabel)
    severity = LabellingSettings(name="severity", relabel=relabel_severity)
    return FieldPlan(first, fields_of(severity, first))


def labelled(kind: Kind, record: Record, fields: FieldPlan | None = None) -> Record:
    wire = Wire(fields or plan())
    codec, batch = wire.decode(kind.pack([record]), kind.content_type)
    (found,) = kind.unpack(codec.splice(batch, [VERDICT]))
    return found


@ALL
def test_a_record_gets_the_fields_of_both(kind: Kind) -> None:
    assert labelled(kind, {"log": "a", "n": 1}) == {"log": "a", "n": 1} | FIRST | SECOND | EXTRA


@ALL
def test_a_label_that_is_there_keeps_only_its_own_labelling_out(kind: Kind) -> None:
    own: Record = {"log": "a", "severity": "mine"}
    assert labelled(kind, own) == own | FIRST | EXTRA
    other: Record = {"log": "a", "target_label": "Old"}
    assert labelled(kind, other) == other | SECOND | EXTRA


@ALL
def test_a_record_with_both_labels_passes_as_it_is(kind: Kind) -> None:
    record: Record = {"log": "a", "severity": "mine", "target_label": "Old"}
    wire = Wire(plan())
    codec, batch = wire.decode(kind.pack([record]), kind.content_type)
    assert batch.specials[0] == Passed(batch.specials[0].stop, "already_labelled")
    assert codec.splice(batch, [VERDICT]) == batch.body


@ALL
def test_each_labelling_replaces_its_own_labels_or_keeps_them(kind: Kind) -> None:
    record: Record = {"log": "a", "severity": "mine", "severity_rule": "x", "target_label": "Old"}
    kept: Record = {"log": "a", "target_label": "Old"}
    assert labelled(kind, record, plan(relabel_severity=True)) == kept | SECOND | EXTRA
    kept = {"log": "a", "severity": "mine", "severity_rule": "x"}
    assert labelled(kind, record, plan(relabel=True)) == kept | FIRST | EXTRA
    both = plan(relabel=True, relabel_severity=True)
    assert labelled(kind, record, both) == {"log": "a"} | FIRST | SECOND | EXTRA


@ALL
def test_a_detail_that_is_there_is_left_alone(kind: Kind) -> None:
    own: Record = {"log": "a", "severity_rule": "mine"}
    assert labelled(kind, own) == FIRST | SECOND | EXTRA | own


def test_details_can_be_left_out() -> None:
    severity = LabellingSettings(name="s", field="business_severity", details=("tier",))
    first = FieldSettings()
    fields = fields_of(severity, first)
    assert fields.label == "business_severity"
    names = (fields.tier, fields.confidence, fields.rule, fields.reason, fields.record_id)
    assert names == ("business_severity_tier", None, None, None, None)
