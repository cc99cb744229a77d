"""What YAML takes for a comment though it was part of a text is said, with file and line."""

from __future__ import annotations

import pytest

from tests.taxonomies import LABELS
from waybill.core.errors import RuleSetError
from waybill.labelling.rules.artefact import Advice
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.loading import compile_rules

RULE = """\
rules:
- id: a
  label: Error
  match: [order]
  {line}
"""

CUT = [
    r"pattern: order #\d+",
    r"pattern: order # \d+ lost",
    r"pattern:  order  #\d+",
    "pattern: order\t#1",
    "pattern: order #1",
    "pattern: >-\n    order\n  no_match:\n  - lost #3",
    "pattern: order\n  no_match: [one,\n    lost # 3\n  ]",
    "pattern: order\n  where:\n    source:\n    - shop #1",
    "pattern: order\n  description: see ticket #12",
    "pattern: order\n  fields: {ticket: it is #12\n    }",
    "pattern: größer|order #1",
]
FINE = [
    r"pattern: 'order( #\d+)?'",
    "pattern: 'order'  # a comment",
    "pattern: order  # a comment",
    "pattern: order\n  # a comment",
    "pattern: order#?",
    "pattern: >-\n    order|lost #3",
    "pattern: order\n  description: see the ticket # and the wiki",
    "pattern: order\n  mode: shadow # for now",
]


async def advice_on(line: str, eol: str = "\n") -> list[Advice]:
    text = RULE.format(line=line).replace("\n", eol)
    rules = await compile_rules([RuleFile("a.yaml", text.encode())], labels=LABELS)
    return [one for one in rules.advice if one.code == "cut_short"]


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
@pytest.mark.parametrize("line", CUT)
async def test_what_looks_like_a_part_of_the_text_is_named(line: str, eol: str) -> None:
    (told,) = await advice_on(line, eol)
    text = RULE.format(line=line)
    assert told.line == text[: text.rindex("#")].count("\n") + 1
    assert told.rule_id == "a"
    assert "'#" in told.detail
    assert "single quotes" in told.detail


@pytest.mark.parametrize("line", FINE)
async def test_comments_and_quoted_texts_are_not_doubted(line: str) -> None:
    assert await advice_on(line) == []


async def test_a_sample_that_fails_for_it_says_so() -> None:
    text = RULE.format(line=r"pattern: order \d+ #\d+").replace("[order]", "['order 1 #2', order]")
    with pytest.raises(RuleSetError, match=r"line 5, pattern: YAML reads .* '#\\\\d\+'"):
        await compile_rules([RuleFile("a.yaml", text.encode())], labels=LABELS)
