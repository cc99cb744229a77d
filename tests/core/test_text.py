"""Bytes of unknown encoding become text."""

from __future__ import annotations

import contextlib
import encodings
import pkgutil
import time

import pytest

from tests.effort import allowed
from waybill.core.near import closest
from waybill.core.text import BOMS, charset_of, decoded, not_utf8, text_of_file, transcoded

TEXT = "Überweisung für Müller fehlgeschlagen: 5 €"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_what_people_bring_is_read(encoding: str) -> None:
    assert decoded(TEXT.encode(encoding)) == TEXT


@pytest.mark.parametrize(("mark", "encoding"), BOMS)
def test_a_byte_order_mark_tells_the_encoding(mark: bytes, encoding: str) -> None:
    assert decoded(mark + TEXT.encode(encoding)) == TEXT


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_what_an_editor_or_a_shell_of_windows_saves_is_read(encoding: str) -> None:
    assert text_of_file(TEXT.encode(encoding)) == TEXT


def test_a_file_in_another_encoding_is_refused_with_its_line() -> None:
    with pytest.raises(UnicodeDecodeError) as caught:
        text_of_file(f"a: b\nc: {TEXT}".encode("cp1252"))
    assert not_utf8(caught.value) == (2, "not UTF-8: invalid continuation byte; save it as UTF-8")


def test_one_odd_byte_in_utf_8_costs_itself() -> None:
    assert decoded("Überweisung ".encode() + b"\xff") == "Überweisung \ufffd"
    assert decoded(b"M\x81ller \xfc") == "M\x81ller ü"
    assert decoded(b"plain") == "plain"
    assert decoded(b"") == ""


def test_nothing_is_close_to_a_long_word() -> None:
    begin = time.thread_time()
    assert closest("Error" * 1_000_000, ["Error"]) is None
    assert time.thread_time() - begin < allowed(0.01)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("UTF-8", "utf-8"),
        ("Latin1", "iso8859-1"),
        ("windows-1252", "cp1252"),
        ("Shift-JIS", "shift_jis"),
        ("tis-620", "tis-620"),
        ("us-ascii", "ascii"),
        *((name, None) for name in ("PunyCode", "IDNA", "undefined", "unicode_escape", "rot13")),
        *(
            (name, None)
            for name in ("zip", "base64", "", "\0", "\ud800", "é", "../x", "x" * 10_000)
        ),
    ],
)
def test_only_character_sets_are_taken_by_their_names(name: str, codec: str | None) -> None:
    assert charset_of(name) == codec


def _seconds(codec: str, data: bytes) -> float:
    begin = time.thread_time()
    with contextlib.suppress(UnicodeError):
        transcoded(data, codec)
    return time.thread_time() - begin


def test_no_character_set_takes_longer_than_its_text_is() -> None:
    """One MB of punycode took a thread two minutes, and whoever sends it chooses the name."""
    names = {module.name for module in pkgutil.iter_modules(encodings.__path__)}
    found = {codec for codec in map(charset_of, names) if codec is not None}
    assert len(found) > 90
    bound = allowed(0.05)
    for data in (b"xn--a-" + b"a" * 100_000, b"+AGE-" * 20_000, b"a failed\n" * 10_000):
        assert not {codec for codec in found if _seconds(codec, data) > bound}


def test_what_nobody_knows_is_not_remembered() -> None:
    """Python keeps each name that it was asked for; strangers have many."""
    known = len(encodings._cache)
    for number in range(50):
        assert charset_of(f"x-nobody-{number}") is None
    assert len(encodings._cache) == known


def test_text_is_transcoded_in_steps_that_end_anywhere() -> None:
    text = "ä漢🎉\n" * 400_000
    for codec in ("utf-16-le", "utf-32-be", "gb18030", "utf-7"):
        assert transcoded(text.encode(codec), codec) == text.encode()
    with pytest.raises(UnicodeDecodeError):
        transcoded(b"\x81", "shift_jis")
    assert transcoded(b"a\xff", "utf-8", "replace") == "a\ufffd".encode()
