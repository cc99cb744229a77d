"""What may stand in a rule file: field values, merge keys, empty patterns."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.taxonomies import LABELS
from waybill.core.errors import RuleError
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.schema import RuleSource, parse_file

RESERVED = ("target_label", "label_tier")


def parse(text: str) -> tuple[Sequence[RuleSource], list[RuleError]]:
    faults: list[RuleError] = []
    rules = parse_file(RuleFile("a.yaml", text.encode()), LABELS, faults, RESERVED).rules
    return rules, faults


def with_fields(fields: str) -> tuple[Sequence[RuleSource], list[RuleError]]:
    return parse(f"rules:\n- id: a\n  label: Error\n  pattern: x\n  fields: {fields}")


@pytest.mark.parametrize(
    "fields",
    [
        "{n: 99999999999999999999}",
        "{n: -9223372036854775809}",
        "{n: .nan}",
        "{n: .inf}",
        "{n: -.INF}",
        "{n: 1.0e+999}",
        "{n: null}",
        "{n: ~}",
        "{n: }",
        "{n: [1]}",
        "{n: {a: 1}}",
        "{n: 2024-01-01}",
        "{n: !!int abc}",
        "{n: !!binary aGk=}",
        "{n: !!python/name:os.system x}",
        "{n: !!set {a}}",
        "{target_label: Error}",
        "{label_tier: rule}",
        "{'': x}",
        "{n: 1" + "0" * 5000 + "}",
    ],
)
def test_a_field_that_not_every_encoding_can_hold_is_refused_where_it_stands(fields: str) -> None:
    rules, faults = with_fields(fields)
    assert rules == []
    assert [(fault.file, fault.line, fault.rule_id) for fault in faults] == [("a.yaml", 5, "a")]
    assert faults[0].code in ("schema", "yaml")


def test_every_value_that_all_encodings_hold_is_taken() -> None:
    rules, faults = with_fields(
        "{a: text, b: 9223372036854775807, c: -9223372036854775808, d: 1.5, e: true, f: '', g: 'null'}"
    )
    assert faults == []
    assert rules[0].fields == {
        "a": "text",
        "b": 2**63 - 1,
        "c": -(2**63),
        "d": 1.5,
        "e": True,
        "f": "",
        "g": "null",
    }


def test_merge_keys_take_over_what_a_rule_does_not_say_itself() -> None:
    rules, faults = parse(
        "x-base: &base {label: Error, fields: &common {team: a, n: 1}}\n"
        "x-quiet: &quiet {mode: shadow, label: Critical Error}\n"
        "rules:\n"
        "- {<<: *base, id: a, pattern: x}\n"
        "- {<<: [*quiet, *base], id: b, pattern: x, fields: {<<: *common, n: 2}}\n"
        "- {id: c, pattern: x, <<: *base, label: Security Alert}\n"
    )
    assert faults == []
    assert [(rule.id, rule.label, rule.mode) for rule in rules] == [
        ("a", "Error", "enforce"),
        ("b", "Critical Error", "shadow"),
        ("c", "Security Alert", "enforce"),
    ]
    assert [rule.fields for rule in rules] == [
        {"team": "a", "n": 1},
        {"team": "a", "n": 2},
        {"team": "a", "n": 1},
    ]


@pytest.mark.parametrize(
    "text",
    [
        "rules:\n- &a {<<: *a, id: a, label: Error, pattern: x}",
        "rules:\n- {<<: text, id: a, label: Error, pattern: x}",
        "rules:\n- {<<: [1, 2], id: a, label: Error, pattern: x}",
        "x-a: &a {id: z, id: y}\nrules:\n- {<<: *a, label: Error, pattern: x}",
    ],
)
def test_a_merge_that_cannot_be_is_a_fault_with_its_line(text: str) -> None:
    _, faults = parse(text)
    assert faults
    assert all(fault.line for fault in faults)


def test_merging_again_and_again_takes_no_longer() -> None:
    levels = "".join(f"x-{i}: &b{i} {{<<: [*b{i - 1}, *b{i - 1}]}}\n" for i in range(1, 60))
    rules, faults = parse(
        f"x-0: &b0 {{label: Error}}\n{levels}rules:\n- {{<<: *b59, id: a, pattern: x}}"
    )
    assert (faults, rules[0].label) == ([], "Error")


@pytest.mark.parametrize("pattern", ["''", '""', "|\n\n", '"\\n"'])
def test_an_empty_pattern_is_refused(pattern: str) -> None:
    _, faults = parse(f"rules:\n- id: a\n  label: Error\n  pattern: {pattern}\n")
    assert [(fault.code, fault.line) for fault in faults] == [("pattern", 4)]


@pytest.mark.parametrize(
    ("rule", "line", "told"),
    [
        (f"- id: {'i' * 201}", 2, "at most 200 characters"),
        (f"- id: a\n  fields: {{f: {'x' * 2_048}}}", 3, "at most 2,048 characters"),
        (
            "- id: a\n  fields: {" + ", ".join(f"f{i}: 1" for i in range(3000)) + "}",
            3,
            "at most 2,048 characters",
        ),
    ],
)
def test_what_a_rule_writes_into_records_has_an_end(rule: str, line: int, told: str) -> None:
    """With a field of 4 MB, 60 lines of 15 bytes became an answer of 240 MB."""
    rules, faults = parse(f"rules:\n{rule}\n  label: Error\n  pattern: x")
    assert rules == []
    assert [(fault.line, len(fault.rule_id or "") <= 200) for fault in faults] == [(line, True)]
    assert told in faults[0].detail
    assert len(str(faults[0])) < 500


def test_what_a_rule_writes_may_be_as_long_as_it_may() -> None:
    text = (
        f"rules:\n- id: {'i' * 200}\n  label: Error\n  pattern: x\n  fields: {{f: {'x' * 2_000}}}"
    )
    rules, faults = parse(text)
    assert (len(rules), faults) == (1, [])


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("patern", "(did you mean pattern?)"),
        ("regex", "; expected one of id, "),
        ("name", ", match"),
    ],
)
def test_an_unknown_key_is_said_with_those_that_there_are(key: str, hint: str) -> None:
    _, faults = parse(f"rules:\n- id: a\n  label: Error\n  pattern: x\n  {key}: y")
    assert f"unknown key '{key}'" in str(faults[0])
    assert hint in str(faults[0])
