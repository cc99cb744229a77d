"""Bytes of unknown encoding become text."""

from __future__ import annotations

import time

import pytest

from tests.effort import allowed
from waybill.core.near import close_to
from waybill.core.text import BOMS, decoded

TEXT = "Überweisung für Müller fehlgeschlagen: 5 €"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_what_people_bring_is_read(encoding: str) -> None:
    assert decoded(TEXT.encode(encoding)) == TEXT


@pytest.mark.parametrize(("mark", "encoding"), BOMS)
def test_a_mark_decides(mark: bytes, encoding: str) -> None:
    assert decoded(mark + TEXT.encode(encoding)) == TEXT


def test_one_odd_byte_in_utf_8_costs_itself() -> None:
    assert decoded("Überweisung ".encode() + b"\xff") == "Überweisung \ufffd"
    assert decoded(b"M\x81ller \xfc") == "M\x81ller ü"
    assert decoded(b"plain") == "plain"
    assert decoded(b"") == ""


def test_nothing_is_close_to_a_long_word() -> None:
    begin = time.thread_time()
    assert close_to("Error" * 1_000_000, ["Error"]) == []
    assert time.thread_time() - begin < allowed(0.01)
