"""What the readers of YAML say of a slip comes with what to do about it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.taxonomies import LABELS
from waybill.core.errors import ConfigError, RuleError
from waybill.core.labels import read_taxonomy
from waybill.core.yaml_advice import yaml_advice
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.schema import parse_file
from waybill.settings.yaml_file import mapping_in

#: What people write, and a word of what they are told to do.
SLIPS = [
    (r'pattern: "\d+ things"', "single quotes"),
    ("pattern: failed: (now|then)", "quotes"),
    ("a:\n\t- x", "tabs"),
    ("pattern: @every", "quotes"),
    ("pattern: %d things", "quotes"),
    ("pattern: `x`", "quotes"),
    ("pattern: *x y", "quotes"),
    ("pattern: &", "quotes"),
    ("pattern: !x y", "quotes"),
    ('pattern: "x', "not closed"),
    ("pattern: 'it's'", "quotes"),
    ("pattern: [a-z]+ x", "quotes"),
    ("pattern: - x", "begins with -"),
    ("pattern: ? x", "begins with ?"),
    ("pattern: > x", "begins with >"),
    ("pattern: | x", "|"),
    ("pattern: {a} b", "quotes"),
    ("tiers: [rules", "]"),
    ("tls: {cert_file: x", "}"),
    ("a:\n  - b\n - c", "one column"),
    ("a: 1\n  b: 2", "one column"),
    ("- a\nb: 1", "one column"),
    ("a: b\nc:\u00a0x\n", "U+00A0"),
    ("a: 1\n---\na: 2\n", "one document"),
    ("{{- if .Values.x }}\na: 1\n", "{{ }}"),
    ("a: {{ .Values.x }}", "{{ }}"),
    ('[http]\nlisten = "x"', "KEY: VALUE"),
]


@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml.CSafeLoader])
@pytest.mark.parametrize(("text", "told"), SLIPS)
def test_both_readers_are_known(text: str, told: str, loader: type[yaml.SafeLoader]) -> None:
    with pytest.raises(yaml.MarkedYAMLError) as refused:
        yaml.load(text, loader)
    assert told in yaml_advice(refused.value.problem)


def test_every_file_that_people_write_comes_with_it(tmp_path: Path) -> None:
    text = 'fallback: "\\d"'
    faults: list[RuleError] = []
    parse_file(RuleFile("a.yaml", text.encode()), LABELS, faults)
    labels = tmp_path / "labels.yaml"
    labels.write_text(text)
    said = [faults[0].detail]
    with pytest.raises(ConfigError) as refused:
        read_taxonomy(labels)
    said += refused.value.problems
    with pytest.raises(ConfigError) as refused:
        mapping_in(text.encode(), tmp_path / "waybill.yaml")
    said += refused.value.problems
    assert ["in single quotes" in one for one in said] == [True] * 3


def test_of_an_unknown_fault_nothing_is_said() -> None:
    assert yaml_advice(None) == ""
    assert yaml_advice("something new") == ""
