"""The rule that `explain` drafts is one that Waybill takes, whatever the message."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.taxonomies import LABELS, TEN
from waybill.core.prepare import prepare
from waybill.labelling.rules.draft import draft, pattern_of, to_yaml
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.loading import compile_rules
from waybill.learn.corpus.entries import load_corpus

ODD = [
    "zxqv  17 blorp",
    "zxqv\t17\tblorp",
    "first line 1\nsecond line 2\r\nthird",
    "peer=10.0.0.7:5432 refused, peer=fe80::1",
    "id=0d9c7a52-1f3b-4c2e-9a77-5b1f0e6f7a11 gone, id=deadbeef12, at 0xFFee",
    "mail for jane.doe+x@mail.example.org bounced",
    '{"level":"error","msg":"it\'s \\"broken\\"","n":17}',
    "\x1b[31;1mDisk full\x1b[0m on sda1",
    "2026-11-20 22:23:01,117 ERROR [pool-3] (x|y)* $1 ^a +b ?c \\d {2} refused",
    "yes",
    "no: #comment, - item, *anchor &x !tag %dir @at `tick` | > key: value",
    "'quoted' and \"quoted\"",
    "4711",
    "12:00:01",
    "==== ---- ====",
    "naïve café \N{SNOWMAN} \N{GRINNING FACE} 日本語",
    "nul\x00 \x07bell \x85next \u2028line \ufeffbom",
    "x" * 700 + " 17",
    "a 1 " * 300,
    "00:1b:44:11:3a:b7 joined",
]


def round_trips(message: str) -> bool:
    """Whether the drafted pattern matches what rules read of ``message``, and YAML keeps both."""
    text = prepare(message)[:500]
    pattern = pattern_of(text)
    if pattern is None:
        return not text
    (rule,) = yaml.safe_load(to_yaml(pattern, text, "Error"))["rules"]
    kept = rule["pattern"] == pattern and rule["match"] == [text]
    return kept and re.search(pattern, prepare(text), re.ASCII) is not None


@given(st.one_of(st.text(), st.lists(st.sampled_from(ODD), max_size=4).map("\t ".join)))
def test_a_draft_matches_its_message(message: str) -> None:
    assert round_trips(message)


async def test_the_rule_engine_takes_drafts_of_the_corpus_and_of_odd_messages() -> None:
    corpus = [entry.text for entry in load_corpus(TEN).entries][:1500]
    files: list[RuleFile] = []
    for number, message in enumerate([*ODD, *corpus]):
        text = prepare(message)[:500]
        pattern = pattern_of(text)
        assert pattern is not None
        document = to_yaml(pattern, text, "Error").replace("my-rule", f"rule-{number}", 1)
        files.append(RuleFile(f"{number}.yaml", document.encode()))
    rules = await compile_rules(files, labels=LABELS)
    assert len(rules.rules) == len(files)


@pytest.mark.parametrize("message", ODD[:10])
async def test_a_draft_is_tried_before_it_is_shown(message: str) -> None:
    drafted = await draft(message, LABELS)
    assert drafted is not None
    (rule,) = yaml.safe_load(drafted)["rules"]
    assert rule["label"] not in LABELS
    assert re.search(rule["pattern"], prepare(message), re.ASCII)


async def test_half_a_character_is_drafted_as_it_is_read() -> None:
    drafted = await draft(json.loads('"lone \\ud800 half"'), LABELS)
    assert drafted is not None
    (rule,) = yaml.safe_load(drafted)["rules"]
    assert re.search(rule["pattern"], "lone ? half", re.ASCII)


@pytest.mark.parametrize("message", ["", " \t\r\n", "\x1b[0m"])
async def test_what_no_rule_can_match_has_no_draft(message: str) -> None:
    assert await draft(message, LABELS) is None


def test_a_number_alone_is_asked_for_as_a_whole() -> None:
    assert pattern_of("4711") == r"^\d+$"


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ('[01/May/2024:10:00:00 +0200] "GET /"', r"\[\d+/[A-Z][a-z]{2}/[0-9A-Fa-f:]+\s+\+\d+\]"),
        ("May  1 10:00:00 disk gone", r"[A-Z][a-z]{2}\s+\d+\s+\d+:\d+:\d+\s+disk\s+gone"),
        ("at Wed, 01 May 2024 gone", r"at\s+[A-Z][a-z]{2},\s+\d+\s+[A-Z][a-z]{2}\s+\d+\s+gone"),
        ("Sun May 12 10:00 gone", r"[A-Z][a-z]{2}\s+[A-Z][a-z]{2}\s+\d+\s+\d+:\d+\s+gone"),
        ("May contain nuts", r"May\s+contain\s+nuts"),
    ],
)
def test_names_of_months_and_days_are_kept_out_of_dates(text: str, pattern: str) -> None:
    found = pattern_of(text)
    assert found is not None
    assert found.startswith(pattern)
    assert re.match(found, text)
