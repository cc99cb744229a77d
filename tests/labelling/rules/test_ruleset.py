"""Rule files: loaded whole or refused whole, with every fault in its place."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.patience import patience
from tests.support.shipped import load_shipped
from tests.taxonomies import LABELS
from waybill.core import child
from waybill.core.errors import RuleSetError
from waybill.labelling.rules import files as files_module
from waybill.labelling.rules.files import RuleFile, content_hash, hash_files
from waybill.labelling.rules.loading import compile_rules, load_ruleset
from waybill.labelling.rules.ruleset import RuleSet
from waybill.labelling.rules.schema import json_schema


async def load(folder: Path, text: str | bytes, name: str = "a.yaml", **limits: Any) -> RuleSet:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return await load_ruleset([folder], labels=LABELS, **limits)


async def faults(
    folder: Path, text: str | bytes, **limits: Any
) -> list[tuple[str, int | None, str | None]]:
    with pytest.raises(RuleSetError) as caught:
        await load(folder, text, **limits)
    return [(fault.code, fault.line, fault.rule_id) for fault in caught.value.errors]


RULE = "- {id: a, label: Error, pattern: boom}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("rules:\n- {id: a, label: Eror, pattern: x}", [("label", 2, "a")], id="unknown label"),
        pytest.param("rules:\n- id: a\n  label: no\n  pattern: x", [("schema", 3, "a"), ("label", 3, "a")], id="label: no"),
        pytest.param("rules:\n- {id: 010, label: Error, pattern: x}", [("schema", 2, "010")], id="id: 010"),
        pytest.param("rules:\n- {id: 2024-01-01, label: Error, pattern: x}", [("schema", 2, "2024-01-01")], id="a date"),
        pytest.param("rules:\n- {id: a, label: Error}", [("schema", 2, "a")], id="no pattern"),
        pytest.param("rules:\n- {id: a, label: Error, pattern: x, mod: shadow}", [("schema", 2, "a")], id="unknown key"),
        pytest.param("rules:\n- {id: a, id: b, label: Error, pattern: x}", [("schema", 2, "a")], id="key twice"),
        pytest.param("rules:\n- {id: a, label: Error, pattern: x, mode: off}", [("schema", 2, "a"), ("schema", 2, "a")], id="mode"),
        pytest.param("rules:\n- {id: a, label: Error, pattern: x, match: y}", [("schema", 2, "a")], id="match is not a list"),
        pytest.param("rules:\n- {id: a, label: Error, pattern: x, where: [b]}", [("schema", 2, "a")], id="where is no mapping"),
        pytest.param("rules:\n- {id: a, label: Error, pattern: x, fields: {k: [1]}}", [("schema", 2, "a")], id="a list as field"),
        pytest.param("rules:\n- just text", [("schema", 2, None), ("schema", 2, None)], id="rule is a text"),
        pytest.param("rulez: []", [("schema", 1, None), ("schema", 1, None)], id="unknown top key"),
        pytest.param("- a", [("schema", 1, None), ("schema", 1, None)], id="top is a list"),
        pytest.param("rules: {}", [("schema", 1, None)], id="rules is a mapping"),
        pytest.param("rules:\n- {id: a", [("yaml", 3, None)], id="YAML syntax"),
        pytest.param("a: 1\n---\nb: 2", [("yaml", 2, None)], id="two documents"),
        pytest.param(b"rules:\n- {id: \xff}", [("yaml", 2, None)], id="not UTF-8"),
        pytest.param("rules:\n" + RULE + "\n" + RULE, [("duplicate_id", 4, "a")], id="an id twice"),
        pytest.param("rules:\n- {id: a, label: Error, pattern: '('}", [("pattern", 2, "a")], id="pattern syntax"),
        pytest.param("rules:\n- id: a\n  label: Error\n  pattern: '('", [("pattern", 4, "a")], id="line of the pattern"),
        pytest.param(
            "rules:\n- {id: a, label: Error, pattern: x, match: [y], no_match: [xx]}", [("sample", 2, "a")] * 2, id="samples"
        ),
    ],
)  # fmt: skip
async def test_a_fault_is_reported_with_line_and_rule(
    tmp_path: Path, text: str | bytes, expected: list[tuple[str, int | None, str | None]]
) -> None:
    assert await faults(tmp_path, text) == expected


async def test_all_faults_of_all_files_come_together(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("rules:\n" + RULE)
    found = await faults(tmp_path, "rules:\n" + RULE + "- {id: b, label: Error, pattern: '['}\n")
    assert sorted(code for code, _, _ in found) == ["duplicate_id", "pattern"]


async def test_an_empty_folder_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    for folder, code in ((tmp_path, "empty"), (tmp_path / "gone", "unreadable")):
        with pytest.raises(RuleSetError) as caught:
            await load_ruleset([folder], labels=LABELS)
        assert [fault.code for fault in caught.value.errors] == [code]


@pytest.mark.parametrize(
    "text",
    [
        "# only a comment\n",
        "rules: []\n",
        "\ufeffrules: []\n",
        "rules:\r\n- {id: a, label: Error, pattern: x}\r\n",
    ],
)
async def test_files_without_rules_bom_and_crlf_are_fine(tmp_path: Path, text: str) -> None:
    assert len((await load(tmp_path, text)).rules) == text.count("id")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
async def test_a_yaml_bomb_costs_a_refusal_and_at_most_the_child(
    tmp_path: Path, opening: str
) -> None:
    """Some versions of libyaml overflow the child's stack, others refuse the depth by themselves."""
    async with patience():
        ((code, _, _),) = await faults(tmp_path, "rules: " + opening * 100_000)
    assert code in ("crash", "yaml")
    assert len((await load(tmp_path, "rules:\n" + RULE)).rules) == 1


async def test_a_compiler_that_is_killed_is_a_refusal_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = tmp_path / "waybill"
    killed.mkdir()
    (killed / "__init__.py").write_text("import os; os.kill(os.getpid(), 11)")
    monkeypatch.setattr(child, "ROOT", killed.parent)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text("rules: []")
    monkeypatch.chdir(tmp_path / "rules")  # the interpreter looks in its folder first
    with pytest.raises(RuleSetError) as caught:
        await load_ruleset([tmp_path / "rules"], labels=LABELS)
    assert [fault.code for fault in caught.value.errors] == ["crash"]


async def test_a_compiler_that_ends_on_an_exception_is_a_refusal_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "waybill"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise RuntimeError('no such luck')")
    monkeypatch.setattr(child, "ROOT", broken.parent)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text("rules: []")
    monkeypatch.chdir(tmp_path / "rules")  # the interpreter looks in its folder first
    with pytest.raises(RuleSetError) as caught:
        await load_ruleset([tmp_path / "rules"], labels=LABELS)
    (fault,) = caught.value.errors
    assert fault.code == "crash"
    assert "no such luck" in fault.detail


async def test_a_pattern_with_too_many_states_is_refused_by_its_id(tmp_path: Path) -> None:
    text = "rules:\n- {id: slow, label: Error, pattern: '([ab].{0,300}){10}'}"
    # It takes 2 s of processor time; by the clock it may take four times `cpu_secs`.
    assert await faults(tmp_path, text, cpu_secs=75) == [("pattern", 2, "slow")]


async def test_a_load_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    text = "rules:\n- {id: slow, label: Error, pattern: '([ab].{0,300}){40}'}"
    assert [code for code, _, _ in await faults(tmp_path, text, cpu_secs=1)] == ["timeout"]


async def test_a_load_that_waits_for_ever_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = tmp_path / "root" / "waybill"
    stuck.mkdir(parents=True)
    (stuck / "__init__.py").write_text("import time; time.sleep(600)")
    monkeypatch.setattr(child, "ROOT", stuck.parent)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text("rules: []")
    monkeypatch.chdir(tmp_path / "rules")
    with pytest.raises(RuleSetError, match=r"took longer than 0\.8 s"):
        await load_ruleset([tmp_path / "rules"], labels=LABELS, cpu_secs=0.2)


async def test_of_very_many_faults_the_first_are_told(tmp_path: Path) -> None:
    """One line of 480 KB had 80,000, and to tell them took 165 MB."""
    with pytest.raises(RuleSetError) as refused:
        await load(tmp_path, f"rules: [{'x, ' * 5000}]")
    *told, last = refused.value.errors
    assert (len(told), last.detail) == (1000, "and 9,000 faults more; mend these first")


async def test_a_load_that_needs_too_much_memory_is_ended(tmp_path: Path) -> None:
    ordinary = "rules:\n- {id: small, label: Error, pattern: failed}\n"
    found = await load(tmp_path, ordinary, memory_bytes=20_000_000)
    assert [rule.id for rule in found.rules] == ["small"]
    big = ordinary + "- {id: big, label: Error, pattern: '([ab].{0,300}){40}'}"
    ((code, _, _),) = await faults(tmp_path, big, memory_bytes=20_000_000)
    assert code in ("memory", "crash")


async def test_rules_compile_from_texts_that_are_on_no_disk() -> None:
    files = [
        RuleFile("new/b.yaml", b"rules:\n- {id: second, label: Error, pattern: boom}"),
        RuleFile("new/a.yaml", b"rules:\n- {id: first, label: Error, pattern: boom}"),
    ]
    rules = await compile_rules(files, labels=LABELS)
    assert [(rule.id, rule.file) for rule in rules.rules] == [
        ("second", "new/b.yaml"),
        ("first", "new/a.yaml"),
    ]
    assert rules.content_hash == hash_files(files)


async def test_no_text_at_all_is_a_rule_set_without_rules() -> None:
    rules = await compile_rules([], labels=LABELS)
    assert rules.first_matches(["boom"]) == [None]


async def test_faults_of_texts_name_the_text(tmp_path: Path) -> None:
    with pytest.raises(RuleSetError) as caught:
        await compile_rules([RuleFile("trial.yaml", b"rules: [")], labels=LABELS)
    assert [(fault.file, fault.code) for fault in caught.value.errors] == [("trial.yaml", "yaml")]


async def test_a_file_too_large_to_be_one_of_rules_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "MAX_FILE_BYTES", 10)
    ((code, _, _),) = await faults(tmp_path, "rules: [] # and more")
    assert code == "unreadable"


async def test_rules_decide_in_the_order_of_files_and_lines(tmp_path: Path) -> None:
    for name, rule in (
        ("20-b.yaml", "second"),
        ("10-a.yaml", "first"),
        (".hidden.yaml", "never"),
        ("x.txt", "never"),
    ):
        (tmp_path / name).write_text(f"rules:\n- {{id: {rule}, label: Error, pattern: boom}}")
    (tmp_path / "..data").mkdir()
    rules = await load_ruleset([tmp_path], labels=LABELS)
    assert [rule.id for rule in rules.rules] == ["first", "second"]
    assert getattr(rules.first_match("a boom"), "id", None) == "first"
    assert [rule.id for rule in rules.explain("a boom", "")] == ["first", "second"]


async def test_where_and_labels_narrow_the_rules_in_question(tmp_path: Path) -> None:
    text = (
        "rules:\n- {id: a, label: Error, pattern: x, where: {source: [crm-*]}}\n"
        "- {id: b, label: User Action, pattern: x}\n- {id: c, label: Error, pattern: x, mode: shadow}\n"
    )
    rules = await load(tmp_path, text)
    assert rules.allowed_for("crm-1", None) is None
    assert rules.allowed_for("other", None) == frozenset({1, 2})
    assert rules.allowed_for("crm-1", ["Error"]) == frozenset({0, 2})
    assert getattr(rules.first_match("x", rules.allowed_for("other", None)), "id", None) == "b"


async def test_shadow_rules_are_counted_and_never_decide(tmp_path: Path) -> None:
    rules = await load(tmp_path, "rules:\n- {id: s, label: Error, pattern: x, mode: shadow}")
    assert rules.first_matches(["x", "y", "xx"]) == [None, None, None]
    assert rules.shadow_hits == {"s": 2}


async def test_a_rules_fields_are_in_its_verdict(tmp_path: Path) -> None:
    rules = await load(
        tmp_path,
        "rules:\n- {id: f, label: Error, pattern: x, fields: {severity: Low, n: 3, ok: true}}",
    )
    verdict = rules.rules[0].verdict
    assert (verdict.label, verdict.tier, verdict.confidence, verdict.rule) == (
        "Error",
        "rule",
        1.0,
        "f",
    )
    assert verdict.fields == {"severity": "Low", "n": 3, "ok": True}


async def test_long_messages_and_lone_surrogates_are_scanned(tmp_path: Path) -> None:
    rules = await load(
        tmp_path,
        "rules:\n- {id: a, label: Error, pattern: '^é+$'}\n- {id: end, label: Error, pattern: end}",
    )
    assert getattr(rules.first_match("é" * 100_000 + "end"), "id", None) == "a"
    assert getattr(rules.first_match("\ud800 end"), "id", None) == "end"


async def test_the_content_hash_follows_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("rules: []")
    first = content_hash([tmp_path])
    assert (
        first
        == content_hash([tmp_path])
        == (await load_ruleset([tmp_path], labels=LABELS)).content_hash
    )
    (tmp_path / "a.yaml").write_text("rules: [] ")
    assert content_hash([tmp_path]) != first
    (tmp_path / "a.yaml").rename(tmp_path / "b.yaml")
    assert content_hash([tmp_path]) != first


@pytest.fixture(name="packs", scope="module")
def _packs() -> RuleSet:
    """The rules that come with Waybill, compiled once."""
    return asyncio.run(load_shipped())


def test_the_packs_load_and_every_rule_has_samples_of_both_kinds(packs: RuleSet) -> None:
    assert len(packs.rules) >= 8
    assert all(rule.samples >= 2 for rule in packs.rules)


@pytest.mark.parametrize(
    ("message", "label"),
    [
        ("User User123 logged in.", "User Action"),
        ("User User9 logged out.", "User Action"),
        ("Backup started at 2026-01-01 00:00:00.", "System Notification"),
        ("Backup ended at 2026-01-01 00:00:00.", "System Notification"),
        ("Backup completed successfully.", "System Notification"),
        ("System updated to version 2.0.5.", "System Notification"),
        ("File a_b.csv uploaded successfully by user User1.", "System Notification"),
        ("Disk cleanup completed successfully.", "System Notification"),
        ("System reboot initiated by user User1.", "System Notification"),
        ("Account with ID 12 created by User1.", "User Action"),
        ("User User123 failed to log in.", None),
        ("the quick brown fox", None),
    ],
)
def test_the_classic_messages_are_decided_by_rules(
    packs: RuleSet, message: str, label: str | None
) -> None:
    rule = packs.first_match(message)
    assert (rule.label if rule else None) == label


def test_the_schema_for_editors_knows_the_labels() -> None:
    rule = json_schema(LABELS)["properties"]["rules"]["items"]
    assert rule["properties"]["label"]["enum"] == list(LABELS)
    assert rule["additionalProperties"] is False


@pytest.mark.parametrize("pattern", ["()", "(?:)", "(?i)", "(?:(?:))", "(?#note)"])
async def test_a_pattern_that_says_nothing_is_refused(tmp_path: Path, pattern: str) -> None:
    text = f"rules:\n- {{id: a, label: Error, pattern: '{pattern}'}}"
    assert await faults(tmp_path, text) == [("pattern", 2, "a")]


@pytest.mark.parametrize("pattern", ["id(?!={s)x", "a{e}++", "(?!x{e})failed", "[a[:digit:]](?=b)"])
async def test_what_only_regex_reads_otherwise_loads(tmp_path: Path, pattern: str) -> None:
    rules = await load(tmp_path, f"rules:\n- {{id: a, label: Error, pattern: '{pattern}'}}")
    assert len(rules.rules) == 1


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 11)", "os._exit(3)", "raise KeyError(1)"])
@pytest.mark.parametrize("is_together", [True, False])
async def test_a_compiler_that_dies_names_the_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, is_together: bool
) -> None:
    """Hyperscan is not ours: whatever it does, the rule is named by file and line."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, hyperscan\n"
        "class Database(hyperscan.Database):\n"
        "    def compile(self, expressions, **more):\n"
        "        if any(b'x' in one for one in expressions):\n"
        f"            {end}\n"
        "        super().compile(expressions=expressions, **more)\n"
        "hyperscan.Database = Database\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    rules = tmp_path / "rules"
    rules.mkdir()
    bad = "x" if is_together else "(x.{0,300}){9}"
    text = f"rules:\n- {{id: a, label: Error, pattern: b}}\n- {{id: b, label: Error, pattern: '{bad}'}}"
    ((code, line, rule_id),) = await faults(rules, text)
    assert code in ("crash", "memory")
    assert (line, rule_id) == (3, "b")


async def test_a_file_that_windows_saved_is_read(tmp_path: Path) -> None:
    ruleset = await load(tmp_path, f"rules:\r\n{RULE}".encode("utf-16"))
    assert [rule.id for rule in ruleset.rules] == ["a"]
