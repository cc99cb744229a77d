"""What is doubtful about rules is said with file and line, and what is fine is not doubted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.shipped import load_shipped
from tests.taxonomies import LABELS
from waybill.core.errors import RuleSetError
from waybill.labelling.rules.artefact import Advice
from waybill.labelling.rules.dialects import with_remedy
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.loading import compile_rules, load_ruleset
from waybill.labelling.rules.pattern import translate

HEAD = "rules:\n"

DOUBTFUL = {
    "never_matches": [
        "'foo^bar'",
        "'$foo'",
        "'^foo$bar'",
        r"'foo\bbar'",
        r"'a\Bb c\B-'",
        "'^(?!foo)foo'",
        "'^ foo'",
        "'foo $'",
        "'^$'",
        r"'^\s*$'",
        "'a++a'",
        r"'foo\Z.'",
        "'a(?m:$)b'",
        "'(?:x|$)y^'",
        r"'\0x'",
    ],
    "other_dialect": [
        "|\n    boom",
        ">\n    boom",
        "|\n    boom\n    bang",
        "'%{IP:c} failed'",
        "'%{WORD}'",
        "'%{TIMESTAMP_ISO8601:time} x'",
        "'/boom/i'",
        "'/boom/'",
        "'/a b/gim'",
        r'"\bboom\b"',
        r'"a\ab"',
        r'"\e31m"',
        r'"a\_b"',
        "'[:digit:]+'",
        "'[a[:digit:]]b'",
        "'x[:^space:]'",
        "'[ERROR] disk'",
        "'[warn] x'",
        "'Disk (95%) full'",
        "'a\u2013b'",
        "'it\u2019s over'",
        "'\u0435rror'",
        "'%d+ errors'",
        "'%s failed'",
    ],
    "takes_all": ["'.'", "'.*'", "'x?'", r"'\S'", "'^'", "'$'", "'a|'", "'(foo)?'", r"'[\s\S]+'"],
}

FINE = [
    r"'^User User\d+ logged (in|out)\.$'",
    "'(?=.*foo)(?=.*bar)'",
    "'(?<!test )user=x'",
    r"'GET /var/log/\S+ HTTP'",
    "'/api/v1/'",
    "'(?i)out of memory'",
    r"'\bOOM\b.*\bkilled\b'",
    r"'(\w+) = \1$'",
    "'(?!x)[^a-z]{3}'",
    "'100% full'",
    r"'[A-Z]{3} (failed|lost)'",
    "'(?x) boom  # a comment'",
    "|-\n    boom",
    ">-\n    boom",
    "|\n    (?x) boom",
    r"'(?m)^at .*$'",
    r"'\$\d+'",
    "'ошибка'",
    r"'(?:a|b)++c'",
    "'a{2,}b{0}c'",
    r"'^\S{1,200}$'",
    "'über'",
    r"'x\B'",
]


async def advice_on(*patterns: str, more: str = "") -> list[Advice]:
    text = HEAD + "".join(
        f"- id: r{i}\n  label: Error\n  pattern: {pattern}\n{more}"
        for i, pattern in enumerate(patterns)
    )
    rules = await compile_rules([RuleFile("a.yaml", text.encode())], labels=LABELS)
    return [one for one in rules.advice if one.code != "no_samples"]


@pytest.mark.parametrize("code", DOUBTFUL)
async def test_each_doubtful_pattern_is_named(code: str) -> None:
    patterns = DOUBTFUL[code]
    told = await advice_on(*patterns)
    assert {one.rule_id for one in told if one.code == code} == {
        f"r{i}" for i in range(len(patterns))
    }
    assert all(one.file == "a.yaml" and one.line for one in told)


async def test_ordinary_patterns_are_not_doubted() -> None:
    told = await advice_on(*FINE)
    assert [f"{FINE[int((one.rule_id or '')[1:])]}: {one}" for one in told] == []


async def test_what_a_sample_proves_is_not_doubted() -> None:
    text = (
        "rules:\n"
        "- {id: a, label: Error, pattern: '/boom/', match: ['GET /boom/ failed']}\n"
        "- {id: b, label: Error, pattern: '%{IP} failed', match: ['template %{IP} failed']}\n"
    )
    rules = await compile_rules([RuleFile("a.yaml", text.encode())], labels=LABELS)
    assert rules.advice == ()


async def test_a_sample_that_fails_comes_with_what_may_be_the_reason() -> None:
    text = "rules:\n- {id: a, label: Error, pattern: '/boom/i', match: ['boom']}"
    with pytest.raises(RuleSetError, match="slashes"):
        await compile_rules([RuleFile("a.yaml", text.encode())], labels=LABELS)


async def test_a_rule_that_takes_what_belongs_to_others_is_named_and_so_are_they() -> None:
    text = (
        "rules:\n"
        "- {id: wide, label: Error, pattern: 'o'}\n"
        "- {id: a, label: Critical Error, pattern: 'foo', match: [foo, foo!]}\n"
        "- {id: b, label: Error, pattern: 'boo', match: [boo]}\n"
        "- {id: c, label: Error, pattern: 'bar', match: [bar]}\n"
    )
    rules = await compile_rules([RuleFile("a.yaml", text.encode())], labels=LABELS)
    told = [(one.code, one.rule_id, one.line) for one in rules.advice]
    assert told == [
        ("takes_samples", "wide", 2),
        ("loses_samples", "a", 3),
        ("loses_samples", "b", 4),
        ("no_samples", "wide", 2),
    ]
    assert rules.taken_samples == 3


@pytest.mark.parametrize(
    "first",
    [
        "{id: first, label: Error, pattern: foo, mode: shadow, match: [foo]}",
        "{id: first, label: Error, pattern: foo, where: {source: [other]}, match: [foo]}",
        "{id: first, label: Critical Error, pattern: foo, match: [foo]}",
    ],
)
async def test_a_rule_that_is_not_asked_or_says_the_same_takes_nothing(first: str) -> None:
    text = f"rules:\n- {first}\n- {{id: a, label: Critical Error, pattern: foo, match: [foo]}}\n"
    rules = await compile_rules([RuleFile("a.yaml", text.encode())], labels=LABELS)
    assert rules.advice == ()


async def test_of_many_victims_the_first_are_named() -> None:
    victims = "".join(
        f"- {{id: v{i}, label: Critical Error, pattern: foo{i}, match: [foo{i}]}}\n"
        for i in range(9)
    )
    text = f"rules:\n- {{id: all, label: Error, pattern: foo, match: [foo]}}\n{victims}"
    rules = await compile_rules([RuleFile("a.yaml", text.encode())], labels=LABELS)
    (one,) = rules.advice
    assert "decides 9 of their samples" in one.detail
    assert "v0 (a.yaml:3)" in one.detail
    assert "6 more" in one.detail


async def test_the_packs_give_no_reason_for_doubts() -> None:
    rules = await load_shipped()
    assert rules.advice == ()


async def test_what_looks_like_rules_and_is_not_read_is_named(tmp_path: Path) -> None:
    rule = "rules:\n- {id: a, label: Error, pattern: boom, match: [boom]}\n"
    (tmp_path / "a.yaml").write_text(rule)
    (tmp_path / "b.yml").write_text("rules: []")
    (tmp_path / "C.YAML").write_text(rule)
    (tmp_path / "D.Yml").write_text("rules: []")
    (tmp_path / "e.yaml").mkdir()
    (tmp_path / "f.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "g").write_text(rule)
    (tmp_path / "h.txt").write_text("# mine\n" + rule)
    (tmp_path / "i.json").write_text('{"rules": []}')
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.yaml").write_text(rule)
    for name in ("README.md", "a.yaml.bak", "a.yaml~", ".hidden.yaml", "notes"):
        (tmp_path / name).write_text("text" if "." not in name[1:] else rule[:5])
    rules = await load_ruleset([tmp_path], labels=LABELS)
    named = [Path(one.file or "").name for one in rules.advice]
    assert named == ["C.YAML", "D.Yml", "e.yaml", "f.yaml", "g", "h.txt", "i.json", "sub"]
    assert {one.code for one in rules.advice} == {"not_read"}


async def test_a_folder_with_nothing_to_read_says_what_was_left_out(tmp_path: Path) -> None:
    (tmp_path / "A.YAML").write_text("rules: []")
    with pytest.raises(RuleSetError, match=r"A\.YAML is not read"):
        await load_ruleset([tmp_path], labels=LABELS)


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("(?<x>a)", "(?P<name>...)"),
        (r"\p{L}+", r"[^\W\d_]"),
        ("*.log", "any text is .* here"),
        ("[error", r"to have [ as text write \["),
        ("failed (", r"write \("),
        (r"end\z", r"the end of the text is \Z"),
    ],
)
def test_syntax_of_elsewhere_is_answered_with_ours(pattern: str, told: str) -> None:
    with pytest.raises(ValueError, match=" at position ") as caught:
        translate(pattern)
    assert told in with_remedy(str(caught.value))
