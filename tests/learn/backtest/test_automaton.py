"""The automaton of a pattern against `re`: it reaches a match where `re` finds one."""

from __future__ import annotations

import functools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waybill.labelling.rules.examples import examples
from waybill.labelling.rules.pattern import parse
from waybill.learn.backtest.automaton import Automaton, TooComplex, automaton_of
from waybill.learn.backtest.compared import KeptAutomata

PATTERNS = (
    r"status 5\d\d",
    r"^User \w+ logged (in|out)\.$",
    r"(?i)connection (?:refused|reset)\b",
    r"[^a-c]x{2,3}$",
    r"(?i)[^a]b",
    r"a.c|\Aq+?z\Z",
    r"\bcat\b.*\Bdog",
    r"(?s)x.y",
    r"(?m)^line$",
    r"(?:ab?){0,3}c",
    r"\S+@\S+\s\D\W",
    r"h[\w.-]+:\d{1,5}",
    "é+ö?",
)


@functools.cache
def automaton_for(pattern: str) -> Automaton:
    return automaton_of(pattern)


def finds(automaton: Automaton, text: str) -> bool:
    return automaton.ends(automaton.run(automaton.start, text))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_it_agrees_with_re_on_texts_made_of_the_pattern(pattern: str) -> None:
    automaton = automaton_for(pattern)
    assert automaton.is_exact
    for text in examples(parse(pattern)):
        told = text.rstrip("\n")
        assert finds(automaton, told) == bool(re.search(pattern, told, re.ASCII)), told


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=40)
@given(text=st.text("abcxyzqACX 59status@:.-_\nUserlogdinout\té", max_size=20))
def test_it_agrees_with_re_on_any_text(pattern: str, text: str) -> None:
    told = text.rstrip("\n")
    assert finds(automaton_for(pattern), told) == bool(re.search(pattern, told, re.ASCII))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"a(?=b)b", "ab"),
        (r"(?<!x)ab", "ab"),
        (r"(a|b)\1", "bb"),
        (r"(?>a+)b", "aab"),
        (r"a++b", "aab"),
        (r"(a)?b(?(1)c|d)", "abc"),
    ],
)
def test_what_it_cannot_say_exactly_it_reaches_at_least_as_often(pattern: str, text: str) -> None:
    automaton = automaton_of(pattern)
    assert not automaton.is_exact
    assert finds(automaton, text)


def test_a_pattern_of_too_many_states_is_refused() -> None:
    with pytest.raises(TooComplex):
        automaton_of(r"(?:a{50}){200}")


def test_automata_are_kept_as_long_as_they_are_small_together() -> None:
    kept = KeptAutomata(most_steps=20)
    first = kept.of("order")
    assert kept.of("order") is first
    for number in range(30):
        first.run(first.start, f"word{number}")
    kept.of("disk")
    assert kept.of("order") is not first
