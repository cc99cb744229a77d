"""Log text on a page: whatever is in it, it stays text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.web.text import log_text, mask_text, plain, shortened

HOSTILE = {
    "<script>alert(1)</script>": "&lt;script&gt;alert(1)&lt;/script&gt;",
    '"><img src=x onerror=alert(1)>': "&#34;&gt;&lt;img src=x onerror=alert(1)&gt;",
    "\x1b[31mred\x1b[0m": "red",
    "\x1b]8;;http://evil\x07link\x1b]8;;\x07": "link",
    "a\x00b\x07c": "a␀b␇c",
    "\u202egnp.exe": "U+202Egnp.exe",
    "a\u200bb\ufeffc": "aU+200BbU+FEFFc",
    "lone \ud800": "lone \ufffd",
    "line\u2028break\nnext": "lineU+2028break␊next",
    "\x9b31m": "U+009B31m",
}


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_text_is_shown_and_does_nothing(text: str) -> None:
    assert HOSTILE[text] in str(log_text(text))


@given(st.text(alphabet=st.characters(), max_size=200))
def test_nothing_leaves_that_could_be_markup_or_move_the_page(text: str) -> None:
    for rendered in (str(log_text(text)), str(mask_text(text, 50))):
        inner = rendered.removeprefix("<bdi class=log>")
        for known in ("</bdi>", '<span class=var title="a value">', "</span>",
                      ' <span class=note title="terminal sequences were left out">ANSI'):  # fmt: skip
            inner = inner.replace(known, "")
        assert "<" not in inner
        assert ">" not in inner
        assert not any(
            ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 for character in inner
        )


def test_what_stands_for_a_value_is_marked_and_what_looks_like_markup_is_not() -> None:
    assert "<span class=var" in str(mask_text("user <id> has 0 items"))
    assert "<span class=var" not in str(mask_text("<script>"))


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    cut = shortened("a" * 1000 + "END", 50)
    assert len(cut) == 50
    assert cut.startswith("aaa")
    assert cut.endswith("END")
    assert plain("short") == "short"
