"""Small helps of the pages: names that nobody knows, values behind a mask, what a rule matched."""

from __future__ import annotations

import html
import re
import time
from pathlib import Path

import pytest

from tests.web.conftest import opened, pattern, settings_for
from waybill.core.pattern import pattern_id
from waybill.web.hits import hit_of, hit_text, values_behind
from waybill.web.ruletext import rule_ids, with_sample

MASK = "disk 0 of <id> is worn"
EXAMPLES = ("disk 12 of 9f2c is worn", "disk 7 of 9f2c is worn")


@pytest.mark.parametrize(
    ("mask", "example", "values"),
    [
        pytest.param("a 0 b", "a 17 b", ["17"], id="between words"),
        pytest.param("0 b", "2026 17 b", ["2026 17"], id="at the beginning"),
        pytest.param("a <ip>", "a 10.0.0.7:80", ["10.0.0.7:80"], id="at the end"),
        pytest.param("ERROR a 0", "12:00 ERROR a 5", ["5"], id="behind what the mask leaves out"),
        pytest.param("0.0", "1.25", ["1", "25"], id="side by side"),
        pytest.param("a 0 b", "something else", [""], id="another text"),
        pytest.param("a <id><ip> b", "a xy b", ["", ""], id="nobody knows where one ends"),
        pytest.param("no value", "no value", [], id="none"),
    ],
)
def test_values_are_found_between_the_words_of_a_mask(
    mask: str, example: str, values: list[str]
) -> None:
    assert values_behind(mask, (example,)) == values


def test_a_match_is_underlined_where_it_is() -> None:
    assert hit_of(r"worn$", EXAMPLES[0]) == (19, 23)
    assert hit_of(r"(?<=of )\w+", EXAMPLES[0]) == (11, 15)
    assert hit_of(r"nothing", EXAMPLES[0]) is None
    assert hit_of(r"(", EXAMPLES[0]) is None
    shown = hit_text("<b>", "a <b> \u202e", 80)
    assert "<u class=hit>&lt;b&gt;</u>" in shown
    assert "U+202E" in shown
    assert len(hit_text("x+", "." * 5000 + "x" * 9000, 80)) < 300
    assert hit_of(r"(a+)+$", "a" * 40 + "b") is None


def test_a_sample_is_put_where_the_rule_has_others() -> None:
    text = "rules:\n  - id: a\n    pattern: x\n    no_match:\n      - 'one'\n  - id: b\n    pattern: y\n"
    for rule in ("a", "b"):
        changed = with_sample(text, rule, "no_match", 'it\'s "so": #1')
        assert changed is not None
        assert changed.count("so") == 1
        assert rule_ids(changed) == ["a", "b"]
    assert with_sample(text, "c", "no_match", "one") is None
    assert with_sample("rules: [{id: a}]", "a", "no_match", "one") is None
    assert (
        with_sample(text.replace("\n      - 'one'", " # old"), "a", "no_match", "two") is not None
    )


async def test_pages_say_what_they_left_out_and_what_is_behind(tmp_path: Path) -> None:
    async with opened(settings_for(tmp_path)) as client:
        await client.put(pattern(MASK, examples=EXAMPLES, at=time.time()))
        _, text = await client.get("/patterns?lable=Error&q=disk&tz=utc")
        assert "knows no parameter “lable”" in text
        assert text.count("knows no parameter") == 1
        assert 'title="a value: 12, 7"' in text
        assert 'title="a value: 9f2c"' in text
        _, text = await client.get("/nodes?x=1&y=2", Cookie="waybill_density=compact")
        assert text.count("knows no parameter") == 2
        assert 'data-density="compact"' in text
        _, text = await client.send("/try", {"lines": "User U17 logged in today"})
        assert "User U17 <u class=hit>logged in</u> today" in text
        _, text = await client.get(f"/patterns/{pattern_id(MASK)}")
        assert 'title="a value: 12, 7"' in text


async def test_a_row_of_a_trial_is_kept_out(tmp_path: Path) -> None:
    async with opened(settings_for(tmp_path)) as client:
        await client.put(pattern(MASK, examples=EXAMPLES, at=time.time()))
        rules = "rules:\n- id: worn\n  label: Error\n  pattern: is worn\n"
        form = {"file": "50-workbench.yaml", "text": rules, "do": "try"}
        _, text = await client.send("/rules/edit", form)
        assert "of 9f2c <u class=hit>is worn</u>" in text
        found = re.search(r'name="keep_out" value="([^"]*)"', text)
        assert found is not None
        form["keep_out"] = html.unescape(found[1])
        _, text = await client.send("/rules/edit", form)
        assert 'no_match:\n  - "disk' in html.unescape(text)
        assert "matches its sample" in text
        form["keep_out"] = "another disk 1"
        _, text = await client.send("/rules/edit", form)
        assert "add it under no_match" in text
