"""Forms of lines, and the patterns made of them."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.core.prepare import prepare
from waybill.labelling.rules.pattern import translate
from waybill.learn.discover.forms import form_of, letters_of, merged, pattern_of


@pytest.mark.parametrize(
    ("lines", "pattern"),
    [
        (["User User7 left."], r"^User\s+User\d+\s+left\.$"),
        (["took 12 ms", "took 3.5 ms"], r"^took\s+\d+(?:[.,]\d+)*\s+ms$"),
        (["link eth0 is up", "link eth0 is down"], r"^link\s+eth\d+\s+is\s+(?:down|up)$"),
        (
            [
                "2026-11-20 22:23:01 INFO disk full (sda)",
                "2026-11-20 22:23:02 INFO disk full (sdb)",
            ],
            r"INFO\s+disk\s+full\s+(?:\(sda\)|\(sdb\))$",
        ),
        (["id=b9718cd8-f65e-49cc-8349-6cf7122af137 gone"], r"^id=[\w.:-]+\s+gone$"),
    ],
)
def test_words_stand_and_values_become_classes(lines: list[str], pattern: str) -> None:
    found = pattern_of([form_of(line) for line in lines], [9] * len(lines))
    assert found == pattern
    for line in lines:
        assert re.search(found, line, re.ASCII)


def test_values_that_are_rare_or_long_are_not_listed() -> None:
    lines = ["user=alice left the building", "user=bob left the building"]
    found = pattern_of([form_of(line) for line in lines], [9, 1])
    assert found == r"^user=\S+\s+left\s+the\s+building$"


def test_lines_with_too_little_in_common_are_no_form() -> None:
    first = form_of("disk sda is full now")
    assert merged(first, form_of("disk sdb is full now")) is not None
    assert merged(first, form_of("user bob is gone now")) is None
    assert merged(first, form_of("disk sda is full")) is None


def test_only_letters_that_are_spelled_out_count() -> None:
    assert letters_of(r"^ab\s+\d+[a-z]+(?:cd|e)\S+$") == 5


TEXT = st.text("ab0.:()[]*+?{}|^$\\-\"'<> \té\ue001", min_size=1, max_size=40)


@given(st.lists(TEXT, min_size=1, max_size=3))
def test_a_pattern_matches_every_line_it_is_made_of(texts: list[str]) -> None:
    lines = [line for line in map(prepare, texts) if line]
    forms = [form_of(line) for line in lines]
    same = [
        (line, form) for line, form in zip(lines, forms, strict=True) if len(form) == len(forms[0])
    ]
    if not same:
        return
    pattern = pattern_of([form for _, form in same], [1] * len(same))
    translate(pattern)
    for line, _ in same:
        assert re.search(pattern, line.replace("\ue001", " ").strip(), re.ASCII), pattern


def test_it_takes_other_values_of_a_line_with_a_clock() -> None:
    dice = random.Random(1)
    pattern = pattern_of([form_of("Nov 20 22:23:01 web-1 sshd[221]: bye 10.0.0.7 port 22")], [5])
    for _ in range(20):
        port, number = dice.randint(1, 65535), dice.randint(1, 99999)
        line = (
            f"Jan  {dice.randint(1, 9)} 11:12:13 db-2 sshd[{number}]: bye 192.168.1.9 port {port}"
        )
        assert re.search(pattern, line, re.ASCII)
