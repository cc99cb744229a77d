"""What YAML says of others' texts is a value or a fault of YAML, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from waybill.core.errors import ConfigError, WaybillError
from waybill.core.yaml_text import compose_yaml, read_yaml
from waybill.labelling.rules.field_values import field_value
from waybill.learn.corpus.reading import read_written
from waybill.settings.yaml_file import mapping_in
from waybill.web.ruletext import in_shadow, rule_ids, rules_of

NO_VALUES = [
    "2026-13-45",
    "2026-02-30 25:00:00",
    "!!int z",
    "!!int 'not a number'",
    "!!float z",
    "!!bool z",
    "!!timestamp z",
    "9" * 5_000,
    "0x" + "f" * 5_000,
    "1" + ":2" * 3_000,
    "!!binary '%'",
    "!!python/object/apply:os.system [id]",
    "!what z",
]
DEEP = ["[" * 3_000, "{a: " * 3_000, "- " * 3_000 + "x"]


@pytest.mark.parametrize("value", NO_VALUES, ids=lambda value: value[:20])
def test_what_looks_like_a_value_and_is_none_is_a_fault_with_its_line(value: str) -> None:
    text = f"rules:\n- id: a\n  x: {value}\n"
    try:
        read_yaml(text)
    except yaml.MarkedYAMLError as error:
        assert error.problem_mark is not None
        assert error.problem_mark.line == 2
    assert rule_ids(text) in ([], ["a"])
    assert in_shadow(text, text)
    try:
        mapping_in(text.encode(), Path("a.yaml"))
    except ConfigError as error:
        assert "a.yaml:3: " in str(error)


@pytest.mark.parametrize("value", NO_VALUES, ids=lambda value: value[:20])
def test_a_rules_field_with_it_is_refused_or_has_a_value(value: str) -> None:
    node = compose_yaml(value)
    assert node is not None
    try:
        assert isinstance(field_value(node), str | int | float | bool)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    "text", ["x: &a [*a]", "x: &a {b: *a}", "x: &a [1, {b: [*a]}]", "&a {b: *a}"]
)
def test_what_holds_itself_is_a_fault(text: str) -> None:
    """It can neither be said in a message nor written down."""
    with pytest.raises(yaml.MarkedYAMLError, match="alias"):
        read_yaml(text)
    with pytest.raises(ConfigError, match=r"a\.yaml:1: .*alias"):
        mapping_in(text.encode(), Path("a.yaml"))


def test_an_alias_of_something_else_stays() -> None:
    assert read_yaml("a: &a [1]\nb: [*a, *a]\nc: {d: *a}") == {
        "a": [1],
        "b": [[1], [1]],
        "c": {"d": [1]},
    }


@pytest.mark.parametrize("text", DEEP, ids=["lists", "maps", "items"])
def test_what_is_nested_without_end_is_a_fault(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        read_yaml(text)
    with pytest.raises(yaml.YAMLError):
        compose_yaml(text)
    assert rules_of(text) == {}
    with pytest.raises(ConfigError):
        mapping_in(text.encode(), Path("a.yaml"))


@pytest.mark.parametrize("value", NO_VALUES, ids=lambda value: value[:20])
def test_a_corpus_file_with_it_is_named(value: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"shop: {{Error: [{value}]}}\n")
    try:
        written = read_written(tmp_path / "a.yaml")
        for _, labels in written.members():
            for _, texts in written.members(labels):
                assert list(written.texts(texts))
        assert written.value()
    except WaybillError as error:
        assert "a.yaml" in str(error)


def test_lists_of_the_same_lists_cost_nothing() -> None:
    """A billion laughs: read as one list that stands in many places."""
    lines = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 20)]
    text = "\n".join(["a0: &a0 [x, x]", *lines, "rules: *a19"])
    assert rules_of(text) == {}
    assert isinstance(mapping_in(text.encode(), Path("a.yaml")), dict)


def test_merges_of_merges_grow_with_their_text() -> None:
    """Each doubled what it merges: 534 bytes took 0.9 s, and each line more as much again."""
    lines = [f"m-{i}: &m{i} {{<<: [*m{i - 1}, *m{i - 1}]}}" for i in range(1, 60)]
    text = "\n".join(["m-0: &m0 {a: 1}", *lines, "rules: [{<<: *m59, id: b}]"])
    assert rules_of(text) == {"b": {"a": 1, "id": "b"}}
