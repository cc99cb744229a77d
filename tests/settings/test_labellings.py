"""The setting ``labellings``: what each labelling is by itself, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from waybill.core.errors import ConfigError
from waybill.settings.labellings import each_labelling, one_labelling
from waybill.settings.sources import load_settings

LABELS = """\
fallback: Other
labels:
  - {name: High, description: bad}
  - {name: Other, description: nothing}
"""


@pytest.fixture(name="labels")
def _labels(tmp_path: Path) -> Path:
    file = tmp_path / "labels.yaml"
    file.write_text(LABELS)
    return file


def test_each_labelling_has_settings_of_its_own(labels: Path) -> None:
    settings = load_settings(
        overrides=[
            f"labellings=[{{name: severity, labels: '{labels}', threshold: 0.7, details: [tier]}}]",
            "memo.bytes=1000",
            "fields.record_id=id",
            "model.follow.source=acme/model",
        ],
        environ={},
    )
    first, severity = each_labelling(settings)
    assert (first.fields, first.routes) == (settings.fields, settings.routes)
    assert first.memo.bytes == severity.memo.bytes == 500
    assert severity.labels.path == str(labels)
    assert (severity.model.path, severity.model.threshold) == (None, 0.7)
    assert severity.model.follow.source is None
    assert severity.rules.path is None
    assert severity.fields.label == "severity"
    assert severity.fields.record_id is None
    assert severity.fields.message == settings.fields.message
    assert one_labelling(settings, "severity") == severity
    with pytest.raises(ConfigError, match=r"did you mean severity\?"):
        one_labelling(settings, "severty")


def test_one_labelling_is_left_as_it_is() -> None:
    settings = load_settings(environ={})
    assert each_labelling(settings) == [settings]


def test_a_pack_brings_labels_rules_and_model() -> None:
    settings = load_settings(
        overrides=["labellings=[{name: severity, pack: packs/banking}]"], environ={}
    )
    _, severity = each_labelling(settings)
    assert severity.labels.path == "packs/banking/labels.yaml"
    assert severity.rules.path == "packs/banking/rules"
    assert severity.model.path in ("packs/banking/model", None)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("{name: S}", r"labellings\[0\].name: 'S' is not a name"),
        ("{name: s}", r"labellings\[0\]: needs labels"),
        ("{name: s, pack: nowhere}", r"labellings\[0\].pack: no such folder: nowhere"),
        ("{name: s, labels: nowhere.yaml}", r"labellings\[0\].labels: cannot read nowhere.yaml"),
        ("{name: s, labels: L, rules: nowhere}", r"labellings\[0\].rules: no such folder"),
        ("{name: s, labels: L, model: nowhere}", r"labellings\[0\].model: no such folder"),
        ("{name: s, labels: L}, {name: s, labels: L, field: t}", r"'s' is there twice"),
        ("{name: s, labels: L, field: target_label}", r"'target_label' is added by fields, too"),
        ("{name: s, labels: L}, {name: t, field: s, labels: L}", r"added by labellings\[0\], too"),
        ("{name: s, labels: L, field: s}, {name: s_tier, labels: L}", r"'s_tier' is added by"),
        ("{name: s, labels: L, field: log}", r"'log' is where fields.message reads"),
        ("{name: s, labels: L, field: source}", r"'source' is where fields.source reads"),
        ("{name: s, labels: L, field: date}", r"'date' is where fields.time reads"),
        ("{name: s, labels: L, routes: [{source: ['*'], tiers: [llm]}]}", r"first labelling only"),
        ("{name: s, labels: L, routes: [{source: [a]}]}", r"routes: the last route must catch"),
        (
            "{name: s, labels: L, routes: [{source: ['*'], labels: [Hihg]}]}",
            r"no such label 'Hihg' \(did you mean High\?\)",
        ),
        (
            "{name: s, labels: L, routes: [{source: ['*'], tiers: [model, rules]}]}",
            r"rules come first",
        ),
    ],
)
def test_what_cannot_be_is_refused(labels: Path, value: str, fault: str) -> None:
    value = value.replace("labels: L", f"labels: '{labels}'")
    with pytest.raises(ConfigError, match=fault):
        load_settings(overrides=[f"labellings=[{value}]"], environ={})
