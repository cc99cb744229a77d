"""A text that is too large to be parsed is JSON where a small one like it is."""

from __future__ import annotations

import pytest

from waybill.wire.allowance import MOST_RECORD_BYTES
from waybill.wire.json.valid import is_valid

#: What a string may hold, and what it may not.
INSIDES = (
    b"plain",
    rb"\n \" \\ \/ \u00e9 \ud83d\ude00 \uDBFF\uDFFF \uFFFF",
    "é 漢字 😀".encode(),
    b"\x7f",
    b"\x01",
    b"\n",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    rb"\x",
    rb"\u12G4",
    rb"\u00",
    rb"\ud800",
    rb"\udc00",
    rb"\ud800\u0041",
    rb"\ud83d \ude00",
)
FRAMES = (
    b'{"a":"%b"}',
    b'{"a":["%b",{"b":1}],"c":"%b"}',
    b' ["%b"] ',
    b'"%b"',
    b'{"%b":1}',
    b'{"a":"%b"',
    b'{"a":"%b"}}',
    b'{"a":"%b" "b"}',
    b'{"a":"%b}',
    b'["%b",]',
)
LONG = b"x" * (MOST_RECORD_BYTES + 1)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("inside", INSIDES)
def test_a_large_text_is_judged_as_a_small_one(frame: bytes, inside: bytes) -> None:
    small = frame.replace(b"%b", inside)
    for large in (LONG + inside, inside + LONG):
        text = frame.replace(b"%b", large, 1).replace(b"%b", inside)
        assert is_valid(text) is is_valid(small), (frame, inside)


@pytest.mark.parametrize("unit", [rb"\n", rb"\u00e9", rb"\ud83d\ude00", "漢".encode()])
def test_no_step_ends_an_escape_or_a_character(unit: bytes) -> None:
    for before in range(len(unit) + 1):
        inside = b"x" * before + unit * (MOST_RECORD_BYTES // len(unit) + 1)
        assert is_valid(b'["%b"]' % inside)
        assert not is_valid(b'["%b"]' % (inside + rb"\x"))
        assert not is_valid(b'["%b"]' % (inside + unit[:-1]))


def test_a_large_text_of_no_long_strings_is_judged_as_a_small_one() -> None:
    parts = (b"1,", b'"",', b"[[]],", b"-1.25e-5,", b"null,", b"false,", b'{"a":0.5},', b" ")
    for part, end in ((part, b"1") for part in parts):
        many = part * (MOST_RECORD_BYTES // len(part) + 1)
        assert is_valid(b"[%b%b]" % (many, end))
        assert not is_valid(b"[%b%b" % (many, end))
        assert not is_valid(b'[%b%b,"\xff"]' % (many, end))
