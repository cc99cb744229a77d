"""Rules that are switched off, or replaced, by id: from a file or from the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.shipped import load_shipped
from tests.taxonomies import LABELS
from waybill.core.errors import RuleSetError
from waybill.labelling.rules.files import RuleFile, content_hash, hash_files, rule_files
from waybill.labelling.rules.loading import compile_rules, load_ruleset
from waybill.labelling.rules.ruleset import RuleSet
from waybill.labelling.rules.schema import parse_file

PACKS = Path(__file__).parents[3] / "rules"
SHIPPED = """rules:
- {id: first, label: Error, pattern: foo, match: [foo]}
- {id: second, label: Error, pattern: fo, match: [fob]}
- {id: third, label: Error, pattern: bar, match: [bar]}
"""


def compiled(own: str, *, name: str = "90-own.yaml", disable: tuple[str, ...] = ()) -> RuleSet:
    files = [RuleFile("50-shipped.yaml", SHIPPED.encode()), RuleFile(name, own.encode(), 1)]
    files.sort(key=lambda file: file.name)
    return asyncio.run(compile_rules(files, labels=LABELS, disable=disable))


def decided(rules: RuleSet, message: str) -> tuple[str, str] | None:
    rule = rules.first_match(message)
    return (rule.id, rule.label) if rule is not None else None


def test_a_file_switches_rules_of_other_files_off() -> None:
    rules = compiled("disable: [first]\nrules: []\n")
    assert decided(rules, "foo") == ("second", "Error")
    assert [(one.id, one.by, one.by_line) for one in rules.replaced] == [
        ("first", "90-own.yaml", 1)
    ]
    assert "50-shipped.yaml:2  first" in str(rules.replaced[0])


def test_a_file_may_have_nothing_else_and_patterns_of_ids() -> None:
    rules = compiled('disable:\n- "f*"\n- th?rd\n')
    assert [rule.id for rule in rules.rules] == ["second"]
    assert not rules.advice


def test_the_settings_switch_rules_off_whichever_file_has_them() -> None:
    own = "rules:\n- {id: own, label: Error, pattern: own, match: [own]}\n"
    rules = compiled(own, disable=("first", "own"))
    assert [rule.id for rule in rules.rules] == ["second", "third"]
    assert [(one.id, one.by, one.by_line) for one in rules.replaced] == [
        ("first", "rules.disable", None),
        ("own", "rules.disable", None),
    ]


def test_a_file_that_switches_an_id_off_keeps_its_own_rule_where_it_stands() -> None:
    own = "disable: [second]\nrules:\n- {id: second, label: User Action, pattern: fo, match: [fo]}"
    assert decided(compiled(own), "foo") == ("first", "Error")
    assert decided(compiled(own, name="10-own.yaml"), "foo") == ("second", "User Action")


@pytest.mark.parametrize("name", ["10-own.yaml", "90-own.yaml"])
def test_a_rule_that_overrides_stands_in_the_place_of_the_other(name: str) -> None:
    own = """rules:
- {id: second, label: User Action, pattern: 'fo|ba', override: true, match: [fob]}
"""
    rules = compiled(own, name=name)
    assert [rule.id for rule in rules.rules] == ["first", "second", "third"]
    assert decided(rules, "foo") == ("first", "Error")
    assert decided(rules, "fob") == ("second", "User Action")
    assert decided(rules, "bar") == ("second", "User Action")
    assert [(one.id, one.file, one.by) for one in rules.replaced] == [
        ("second", "50-shipped.yaml", name)
    ]


@pytest.mark.parametrize("name", ["10-own.yaml", "90-own.yaml"])
def test_an_id_that_stands_twice_names_both_files_and_the_way_out(name: str) -> None:
    with pytest.raises(RuleSetError) as refused:
        compiled("rules:\n- {id: third, label: Error, pattern: bar}\n", name=name)
    (fault,) = refused.value.errors
    assert (fault.code, fault.file, fault.line, fault.rule_id) == ("duplicate_id", name, 2, "third")
    assert "50-shipped.yaml:4" in str(fault)
    assert "override: true" in str(fault)
    assert "disable: [third]" in str(fault)


def written(ids: Iterable[str], label: str = "Error") -> bytes:
    rules = "".join(f"- {{id: {one}, label: {label}, pattern: {one}}}\n" for one in ids)
    return f"rules:\n{rules}".encode()


@pytest.mark.parametrize(
    ("copy", "later", "earlier"),
    [
        pytest.param("own/10-all.yaml", "own", "shipped", id="a folder, of the same names"),
        pytest.param("own/00-mine.yaml", "own", "shipped", id="a file that is read first"),
        pytest.param("shipped/20.yaml", "shipped/20.yaml", "shipped/10-all.yaml", id="a file"),
    ],
)
def test_rules_that_were_copied_are_one_fault(copy: str, later: str, earlier: str) -> None:
    ids = [f"rule-{i}" for i in range(12)]
    first = RuleFile("shipped/10-all.yaml", written(ids))
    second = RuleFile(copy, written(ids[:10], "User Action"), int("own" in copy))
    files = sorted((first, second), key=lambda file: Path(file.name).name)
    with pytest.raises(RuleSetError) as refused:
        asyncio.run(compile_rules(files, labels=LABELS))
    (fault,) = refused.value.errors
    assert (fault.code, fault.file) == ("duplicate_id", later)
    assert f"10 rules here have ids that stand in {earlier!r} already" in str(fault)
    assert "rule-0, rule-1, rule-2, rule-3, rule-4 and 5 more" in str(fault)


def test_copies_of_two_folders_are_told_apart() -> None:
    ids = [f"rule-{i}" for i in range(12)]
    places = {"a/1.yaml": ids[:6], "b/2.yaml": ids[6:], "c/3.yaml": ids}
    files = [RuleFile(name, written(some), i) for i, (name, some) in enumerate(places.items())]
    with pytest.raises(RuleSetError) as refused:
        asyncio.run(compile_rules(files, labels=LABELS))
    assert [str(fault).partition(" already")[0] for fault in refused.value.errors] == [
        f"c: 6 rules here have ids that stand in '{one}'" for one in "ab"
    ]


def test_two_rules_that_override_the_same_one_are_a_fault() -> None:
    own = "".join(
        f"- {{id: third, label: Error, pattern: b{i}, override: true}}\n" for i in range(2)
    )
    with pytest.raises(RuleSetError, match="keep one of the two"):
        compiled(f"rules:\n{own}")


@pytest.mark.parametrize(
    ("own", "codes"),
    [
        ("disable: [frist]", {"disables_nothing"}),
        ("rules:\n- {id: frist, label: Error, pattern: x, override: true, match: [x]}",
         {"overrides_nothing"}),
        ("disable: [own]\nrules:\n- {id: own, label: Error, pattern: x, match: [x]}",
         {"disables_nothing"}),
    ],
)  # fmt: skip
def test_what_changes_no_rule_is_said(own: str, codes: set[str]) -> None:
    rules = compiled(own)
    assert {one.code for one in rules.advice} == codes
    assert all(one.file == "90-own.yaml" and one.line for one in rules.advice)
    if "frist" in own:
        assert "did you mean first?" in str(rules.advice[0])


@pytest.mark.parametrize(
    "own",
    [
        "disable: first",
        "disable: {a: b}",
        "disable: ['']",
        "disable: [1]",
        "disable: [[a]]",
        "rules:\n- {id: first, label: Error, pattern: x, override: 'true'}",
        "rules:\n- {id: first, label: Error, pattern: x, override: yes}",
        "disabled: [first]",
    ],
)
def test_what_is_not_meant_so_is_refused_where_it_stands(own: str) -> None:
    with pytest.raises(RuleSetError) as refused:
        compiled(own)
    assert refused.value.errors[0].code == "schema"
    assert refused.value.errors[0].file == "90-own.yaml"


def test_a_rule_that_is_switched_off_may_have_faults() -> None:
    own = "rules:\n- {id: odd, label: Odd, pattern: '(', match: [x]}\n"
    assert len(compiled(own, disable=("odd",)).rules) == 3
    with pytest.raises(RuleSetError, match="Odd"):
        compiled(own, disable=("even",))


async def test_the_version_follows_what_the_settings_disable(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SHIPPED)
    files = [RuleFile(str(file), file.read_bytes()) for file in rule_files([tmp_path])]
    rules = await load_ruleset([tmp_path], labels=LABELS, disable=["first"])
    assert rules.content_hash == hash_files(files, ["first"]) == content_hash([tmp_path], ["first"])
    assert rules.content_hash != content_hash([tmp_path])


def test_each_sample_of_the_packs_is_decided_by_its_own_rule() -> None:
    files = [RuleFile(str(file), file.read_bytes()) for file in rule_files([PACKS])]
    rules = asyncio.run(load_shipped())
    by_id = {rule.id: rule for rule in rules.rules}
    taken: list[str] = []
    for file in files:
        for source in parse_file(file, LABELS, []).rules:
            own = by_id[source.id]
            for sample in source.match:
                asked = [
                    one for one in rules.matching(sample) if one.sources in (None, own.sources)
                ]
                if asked[0] is not own and own.mode == "enforce":
                    taken.append(f"{source.file}:{source.line} {own.id}: {asked[0].id}: {sample}")
    assert taken == [], "\n".join(taken)
