"""What every tier reads of a message: nothing of what terminals, editors and pipes put in."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.effort import allowed
from waybill.core.prepare import is_blank, prepare, prepare_all
from waybill.labelling.masking import mask, shape

PIECES = st.sampled_from(
    [*"aZ 0;m[]\\()=é7", *"\x07\x1b\x9b\x9c\x9d\x90\r\n\t\x00\ufeff\u200b\xa0\u2028\x85\ud800"]
)
TEXTS = st.text(PIECES, max_size=40)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Disk full", "Disk full"),
        (" Disk  full \t", "Disk  full"),
        ("Disk full\r\n", "Disk full"),
        ("at a\r\n\tat b\rat c", "at a\n\tat b\nat c"),
        ("one\x0btwo\x0cthree\x85four\u2028five\u2029six", "one\ntwo\nthree\nfour\nfive\nsix"),
        ("\ufeffDisk\xa0full\u3000", "Disk full"),
        ("Di\xadsk\u200b fu\u2060ll\u202e", "Disk full"),
        ("Disk full\x00", "Disk full"),
        ("D\x00i\x00s\x00k\x00", "Disk"),
        ("\x01\x02Disk\x7f\x80 full\x1f", "Disk full"),
        ("\x1b[31;1mDisk\x1b[0m \x1b[38;5;196mfull\x1b[m\x1b[K", "Disk full"),
        ("\x1b[38:2::255:0:0mDisk full\x1b[?25h\x1b[2 q", "Disk full"),
        ("\x9b1mDisk full\x9b0m", "Disk full"),
        ("\x1b]0;a title\x07Disk full", "Disk full"),
        ("\x1b]8;;http://x/\x1b\\Disk\x1b]8;;\x1b\\ full", "Disk full"),
        ("\x9d0;title\x9cDisk \x1bPq#0\x1b\\full\x1b_x\x9c", "Disk full"),
        ("\x1b(BDisk full\x1b7\x1b=", "Disk full"),
        ("Disk full\x1b[3", "Disk full"),
        ("\x1b]0;never ended: Disk full", "]0;never ended: Disk full"),
        ("\x1bDisk full", "Disk full"),
        ("Größe … 5°\xa0C – 日本語", "Größe … 5° C – 日本語"),
        ("M\udcfcller \ud83d!", "M?ller ?!"),
        ("", ""),
        ("\x1b[0m\ufeff\r\n\u200b\x00 \xa0", ""),
    ],
)
def test_what_is_read_of_a_text(text: str, expected: str) -> None:
    assert prepare(text) == expected
    assert list(prepare_all(["other", text])) == ["other", expected]
    assert is_blank(text) is (expected == "")


@given(TEXTS)
def test_preparing_is_done_once_and_everywhere_alike(text: str) -> None:
    prepared = prepare(text)
    assert prepare(prepared) == prepared.encode().decode() == prepared
    assert list(prepare_all([text, "x"])) == [prepared, "x"]
    assert is_blank(text) is (prepared == "")
    assert prepare(shape(text)) == shape(prepared)
    assert mask(text) == mask(prepared) == mask(shape(text))


def test_texts_with_nothing_to_do_are_handed_on_as_they_are() -> None:
    texts = ["Disk full", "Größe", "a\n\tb", "日本語"]
    assert prepare_all(texts) is texts


def test_of_a_long_text_only_the_beginning_is_read() -> None:
    assert list(prepare_all(["ab" * 9, "c"], 4)) == ["abab", "c"]
    assert list(prepare_all(["ab\x00ab"], 4)) == ["aba"]


@pytest.mark.parametrize(
    "piece", ["\x1b]", "\x1b[0", "\x9d", "\x1b[ ", "\x1bP\x1b", "\r", "\x00a", " \xa0", "\x9b0"]
)
def test_time_grows_with_the_text_and_no_faster(piece: str) -> None:
    def took(count: int) -> float:
        begin = time.process_time()
        prepare(piece * count + "x")
        return time.process_time() - begin

    text = 400_000 // len(piece)
    assert min(took(text) for _ in range(3)) < allowed(0.1)
