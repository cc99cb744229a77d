"""How lines are cut into what stands and what varies, and which rules are asked about them."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from waybill.learn.backtest import texts
from waybill.learn.backtest.automaton import automaton_of
from waybill.learn.backtest.words import WordIndex, are_there, phrases_of, words_of

PIECES = (
    "Jan",
    "Feb 12 10:00:00",
    "Mon,",
    "Sun Oct  3 11:11:11 2026",
    "xJan 12 10:11:12",
    "deadbeef1",
    "7abc",
    "0xdead",
    "R1-A2",
    ":",
    "a:b:c:d",
    "10.0.0.1:80",
    "<id>",
    "<secret>",
    "-",
    "1,5",
    "T10:00:00.117Z",
    "abc",
    "é",
)
RULES = (
    r"connection (?:refused|reset)",
    r"order \d+ .*rejected",
    r"(panic|oops)",
    r"\d{3}",
    r"(?i)LOST packets",
    "ect",
)
#: The expression without what skips words.
SLOW = re.compile(
    texts._VARIES.pattern.partition(")|(?P<more>")[2].join(["(?P<more>", ""]), re.ASCII
)


@given(st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(["", " ", "  "])), max_size=9))
def test_skipping_words_finds_the_same_values(pieces: list[tuple[str, str]]) -> None:
    line = "".join(map("".join, pieces))
    quick = [one for one in texts._VARIES.finditer(line) if one.lastgroup != "words"]
    slow = SLOW.finditer(line)
    assert [(one.span(), one.lastgroup) for one in quick] == [
        (one.span(), one.lastgroup) for one in slow
    ]


def test_a_text_is_put_together_of_its_words() -> None:
    text = texts.of_message("user 17 left  the \t room")
    assert "".join(piece if isinstance(piece, str) else "#" for piece in text) == (
        "user # left  the \t room"
    )
    assert len(text) == 6


@given(st.lists(st.sampled_from(["connection", "reset", "order", "rejected", "oopsy", "x", "12"])))
def test_every_rule_that_may_match_is_asked_for(words: list[str]) -> None:
    asked = list(map(words_of, RULES))
    line = " ".join(words)
    found = WordIndex(enumerate(asked)).asked_for(line)
    assert found == sorted(found)
    for number, sets in enumerate(asked):
        if all(any(word in line for word in one) for one in sets):
            assert number in found


#: What rules ask for, and what of it values can spell: whole, at its begin, at its end.
SPELT = (
    r"(?:Feb|Mon),? 1",
    r"xJan \d",
    "(?i)MON OCT  ",
    "Feb 12",
    r"T10:0[01]",
    r"\bSU \(",
    r"[ab] \(to\b",
    r"<(?:secret|id)>",
    r'"eventType":"\w',
    r"dead beef|GC\(",
    r"-[A-Z]{2} x",
    r"AB \(",
    r"zz q",
    r"\] (?:ab|cd) \[",
    r"(?i)quartz|0XDEAD",
    r"EDAC \d+: |AER: (?:x|fed) @|GC",
    r"\d/\d+/|=> (?:to|[ab]) =|-\d+@",
    r"1\.2|, #\d|\d-\d|_\d_",
)


SPELLING = (
    *(*PIECES, "R1-AB", "(", "to", "] ", " [", '"', "eventType", "GC", "zz"),
    *("EDAC", "AER:", "fed", "@", "1/2/3", "1.2", "=>", "a =", "-7@", ", #1", "_1_"),
)


@given(pieces=st.lists(st.sampled_from(SPELLING)))
def test_what_no_phrase_stands_in_no_automaton_reaches(pieces: list[str]) -> None:
    text = texts.of_message(" ".join(pieces).replace("  ", ""))
    fixed = texts.fixed_of(text)
    for pattern in SPELT if fixed is not None else ():
        assert fixed is not None
        phrases = phrases_of(pattern, fixed.values)
        if not are_there(phrases, fixed.text):
            assert texts.reach(automaton_of(pattern), text) == "none", (pattern, phrases)
