"""The dialect: what Hyperscan is given means what Python's ``re`` means."""

from __future__ import annotations

import asyncio
import re
import tempfile
from pathlib import Path

import hyperscan
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import EXAMPLES
from waybill.core.prepare import prepare
from waybill.labelling.rules.compiler import _FLAGS
from waybill.labelling.rules.loading import load_ruleset
from waybill.labelling.rules.pattern import compile_confirmation, translate
from waybill.labelling.rules.ruleset import RuleSet

PATTERNS = [
    r"User User\d+ logged (in|out)\.", r"a{,3}b", r"(?i)kš[a-f]", r"\s\S\W\w\D", r"^\Afoo\Z$", r"(?m)^x$", r"(?m)x$",
    r"(?=a)b?", r"(?<!x)a", r"(a|b)\1", r"(?P<q>['\"]).*(?P=q)", r"\Bx", r".*", r"[^a\d\n]", r"a++b", r"(?>a*)b",
    r"x{2,}?", "é[à-ü]+", r"[]]", r"a|", r"\x00", r"(?s)a.b", r"a.b", r"(?i:A)b", r"\bfoo\b", r"foo$", r"^$", r"\d{3}-\w+",
    r"(?x) a  b # comment", r"[^\W_]", r"(?i)[^k]", r"\u212a", r"(?i)ſ", r"(a)?b(?(1)c|d)", r"\.", "a*",
    r"(?!x{e})failed", r"(?<!ok{1})x(?!o{e})", r"(?=.)[a[:digit:]]", r"(?=a)[a[:alpha:]]b", r"(?=.)(?i:ß)", r"^(?!.*(?i:ſ))a",
    "(?=.)[a~b]", r"id(?!={s)x", r"a{e}++", r"(?<=x)(?i:k)", "(?=.)(?i:ss)", r"\B", r"(?m)^\B",
    r"x*^a", r"a(?:^|b)", r"(?:^|,)a.*(?:^|[, ])b", r"\b^a", r"^.*(?:foo|^bar)", r"(?:a|$)b?", r"foo(?:$|,)\b", r"(?:a(?:b|$)|c)\b",
    r"(?:^a){2}", r"(?:a$)+b*", r"^$a|^", r"(?i)(?:x|\A)k(?:\Z|y)?1*", r"(?:^|a)b", r"a(?:b|$)", r"(?m)(?:^|b)a(?:$|c)d?",
]  # fmt: skip
MESSAGES = [
    "", "a", "b", "aab", "aaab", "x", "x\n", "\nx\n", "foo", "foo\n", "foo bar", "xa", "abab", "'q'", "K", "k", "\u212a", "ſ", "s",
    "User User12 logged in.", "é", "éàü", "]", "\x00", "a\nb", "axb", "Ab", "ab", "123-x", "١٢٣", "\u00a0", "bc", "bd", "ac",
    "\v", "_", "KŠa", "kša", " !a\t", "failed", "xfailed", ":]", "7", "a{e}", "a{ee", "as", "xK", "ẞ", "ß", "idx", "id={s", "&", "~",
]  # fmt: skip


def load(patterns: list[str]) -> RuleSet:
    """A rule set of these patterns, through the real child process."""
    rules = [
        {"id": f"r{i}", "label": "Error", "pattern": pattern} for i, pattern in enumerate(patterns)
    ]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rules.yaml").write_text(
            yaml.safe_dump({"rules": rules}, allow_unicode=True)
        )
        return asyncio.run(load_ruleset([Path(folder)], labels=["Error"]))


def first(patterns: list[str], message: str) -> str | None:
    return next(
        (f"r{i}" for i, pattern in enumerate(patterns) if re.search(pattern, message, re.ASCII)),
        None,
    )


def test_every_construct_matches_what_re_matches() -> None:
    rules = load(PATTERNS)
    for message in MESSAGES:
        text = prepare(message)  # what patterns see
        expected = {f"r{i}" for i, p in enumerate(PATTERNS) if re.search(p, text, re.ASCII)}
        assert {rule.id for rule in rules.matching(message)} == expected, message


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_construct_is_one_that_hyperscan_can_hold(pattern: str) -> None:
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    expression = translate(pattern).expression.encode()
    database.compile(expressions=[expression], ids=[0], elements=1, flags=[_FLAGS])


@pytest.mark.parametrize(
    "pattern", ["(", "[a", "*", r"\h", "(?P<1>a)", "a{99999999999}", "[[:alpha:]]"]
)
def test_what_python_does_not_take_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError):
        translate(pattern)


@pytest.mark.parametrize(
    ("pattern", "is_exact"),
    [
        (r"a\d+", True),
        (r"^(^|a)b$", True),
        (r"a(^|b)", False),
        (r"(?=a)", False),
        (r"(a)\1", False),
        (r"a++", False),
        (r"\B", False),
    ],
)
def test_what_needs_confirmation_is_known(pattern: str, is_exact: bool) -> None:
    assert translate(pattern).is_exact == is_exact


atoms = st.sampled_from(
    [
        "a",
        "b",
        "k",
        "K",
        "1",
        r"\d",
        r"\w",
        r"\s",
        r"\W",
        ".",
        "[ab]",
        "[^a]",
        "[0-9k]",
        "é",
        r"\.",
        " ",
        r"\b",
        "(?i:k)",
        r"\n",
    ]
)
_units = st.builds(
    lambda atom, repeat: atom + repeat if atom != r"\b" else atom,
    atoms,
    st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,3}", "+?"]),
)
_sequences = st.lists(_units, min_size=1, max_size=4).map("".join)
_groups = st.one_of(
    _sequences,
    st.builds("({}|{})".format, _sequences, _sequences),
    st.builds("(?:{})+{}".format, _sequences, _sequences),
    st.builds("(?i){}".format, _sequences),
    st.builds("^{}".format, _sequences),
    st.builds("{}$".format, _sequences),
    st.builds("{}(^|{}){}".format, _sequences, _sequences, _sequences),
    st.builds("({}|$){}".format, _sequences, _sequences),
    st.builds(r"\b^{}$\b".format, _sequences),
    st.builds("(?={}){}".format, _sequences, _sequences),
    st.builds("(?!{}){}".format, _sequences, _sequences),
    st.builds(r"({})\1".format, _sequences),
)
texts = st.text(alphabet="abkK1 é.\n\u212aſ٣", max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_groups, min_size=1, max_size=12), st.lists(texts, min_size=1, max_size=25))
def test_the_first_rule_is_the_one_that_re_finds_first(
    patterns: list[str], messages: list[str]
) -> None:
    rules = load(patterns)
    found = rules.first_matches(messages)
    assert [rule and rule.id for rule in found] == [
        first(patterns, message) for message in messages
    ]


_dialects = st.sampled_from(
    [
        "{e}",
        "x{e}",
        "{s<2}",
        "[a[:digit:]]",
        "[a~b]",
        r"\B",
        r"\b",
        "(?i:é)",
        "(?i:ß)",
        "(?m:^)",
        "(?m:$)",
        r"\Z",
        "(?>a*)",
        "a++",
        "(?<=a)",
        "(?<!b)",
        "&",
        "[^\\W\\d]",
    ]
)
_mixed = st.lists(st.one_of(_dialects, _units, _groups), min_size=1, max_size=5).map("".join)
_odd_texts = st.text(alphabet="abkK1 é.\n\u212aſ٣{e}sx[:dÉßẞ<2&~]", max_size=10)


@settings(
    max_examples=max(100, EXAMPLES), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(_mixed, st.lists(_odd_texts, min_size=1, max_size=15))
def test_a_confirmation_means_what_re_means(pattern: str, messages: list[str]) -> None:
    try:
        translation = translate(pattern)
    except ValueError:
        return  # `re` refuses it as well, or it has to be written otherwise
    confirm = compile_confirmation(translation.confirmation)
    for message in messages:
        expected = re.search(pattern, message, re.ASCII) is not None
        assert (confirm.search(message) is not None) == expected, message


@pytest.mark.parametrize(
    "pattern", [r"(?u:\w+)ber", r"(?iu:é)", r"(?=(?u:\d))", r"(a)?(?(1)(?u:b)|c)"]
)
def test_classes_beyond_ascii_are_refused_with_the_reason(pattern: str) -> None:
    with pytest.raises(ValueError, match="know ASCII only"):
        translate(pattern)


@pytest.mark.parametrize(
    "pattern", ["(" * 3000 + "a" + ")" * 3000, "(?:a{e}){2}{x", "id(?!={s)x", "a{e}++"]
)
def test_a_pattern_is_read_or_refused_and_never_crashes(pattern: str) -> None:
    try:
        translate(pattern)
    except ValueError as error:
        assert str(error)


def test_groups_within_groups_without_end_are_told_in_words() -> None:
    with pytest.raises(ValueError, match=r"^groups are nested too deeply$"):
        translate("(" * 3_000 + "a" + ")" * 3_000)
