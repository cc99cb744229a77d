"""``fields.pattern`` in every encoding: what is added, and what a record brought stays its own."""

from __future__ import annotations

import pytest

from tests.contract.encodings import KINDS, Kind, Record
from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, Wire

ALL = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.encoding.value)
VERDICT = Verdict("Error", "model", 0.5, "m@1", pattern="045752dded9a51f6")
LABELS: Record = {
    "target_label": "Error",
    "label_tier": "model",
    "label_confidence": 0.5,
    "label_rule": "m@1",
}
PATTERN: Record = {"log_pattern": "045752dded9a51f6"}


def labelled(
    kind: Kind, record: Record, verdict: Verdict = VERDICT, *, relabel: bool = False
) -> Record:
    wire = Wire(FieldPlan(FieldSettings(pattern="log_pattern", relabel=relabel)))
    codec, batch = wire.decode(kind.pack([record]), kind.content_type)
    (found,) = kind.unpack(codec.splice(batch, [verdict]))
    return found


@ALL
def test_a_record_names_its_pattern(kind: Kind) -> None:
    assert labelled(kind, {"log": "a", "n": 1}) == {"log": "a", "n": 1} | LABELS | PATTERN


@ALL
def test_a_record_of_no_pattern_gets_none(kind: Kind) -> None:
    unreadable = Verdict("Unclassified", "none", reason="no_message")
    assert "log_pattern" not in labelled(kind, {"n": 1}, unreadable)


@ALL
@pytest.mark.parametrize("brought", ["mine", " ", 7])
def test_a_member_of_that_name_stays(kind: Kind, brought: object) -> None:
    record: Record = {"log": "a", "log_pattern": brought}
    assert labelled(kind, record) == record | LABELS


@ALL
def test_an_empty_one_is_a_place_that_was_kept_for_it(kind: Kind) -> None:
    assert labelled(kind, {"log": "a", "log_pattern": ""}) == {"log": "a"} | LABELS | PATTERN


@ALL
def test_who_labels_anew_replaces_it(kind: Kind) -> None:
    record: Record = {"log": "a", "log_pattern": "old", "target_label": "Old"}
    assert labelled(kind, record, relabel=True) == {"log": "a"} | LABELS | PATTERN


@ALL
def test_a_record_that_is_labelled_gets_no_pattern_either(kind: Kind) -> None:
    record: Record = {"log": "a", "target_label": "Old"}
    assert labelled(kind, record) == record
