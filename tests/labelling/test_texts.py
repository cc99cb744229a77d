"""What the tiers see of messages is the same, whether one pass shows that they are ordinary or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.core.prepare import prepare
from waybill.labelling.masking import shape
from waybill.labelling.texts import SharedTexts, read_texts

#: Ordinary text, and what is not: blanks around, line ends, colours, NUL, signs without a width.
PIECES = [
    "disk 17 is full",
    "a",
    "é",
    "日本",
    " ",
    "\n",
    "\t",
    "\r\n",
    "\x1b[31m",
    "\0",
    "\ufeff",
    "\ud800",
]
MESSAGES = st.lists(st.lists(st.sampled_from(PIECES), max_size=4).map("".join), max_size=5)


@given(MESSAGES, st.integers(1, 40))
def test_texts_are_prepared_messages_with_their_shapes(messages: list[str], limit: int) -> None:
    texts = read_texts(messages, limit)
    expected = [prepare(message[:limit]) for message in messages]
    assert list(texts.prepared) == expected
    assert list(texts.shapes) == [shape(text) for text in expected]
    try:
        data = [text.encode() for text in expected]
    except UnicodeEncodeError:
        assert texts.data is None
    else:
        is_short = max(map(len, data), default=0) <= limit
        assert (list(texts.data) if texts.data is not None else None) == (
            data if is_short else None
        )


@given(MESSAGES)
def test_some_of_them_are_what_they_were(messages: list[str]) -> None:
    texts = read_texts(messages, 100)
    odd = range(1, len(messages), 2)
    assert list(texts.at(odd).prepared) == list(texts.prepared[1::2])
    assert list(texts.at(odd).shapes) == list(texts.shapes[1::2])


@pytest.mark.parametrize("others", [["b 2"], ["a 1", "b 2"], []])
def test_several_share_the_texts_of_the_same_messages_alone(others: list[str]) -> None:
    shared = SharedTexts()
    first = shared.read(["a 1"], 100)
    assert shared.read(["a 1"], 100) is first
    assert list(shared.read(others, 100).prepared) == others
    assert list(shared.read(["a 1"], 2).prepared) == ["a"]
