"""What is known from before a restart, and what is new."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from waybill.core.reasons import PatternFault
from waybill.patterns.known import KnownPatterns, KnownScope, NotKnown
from waybill.patterns.known_file import KnownFile


def test_what_was_met_is_known_since_then() -> None:
    known = KnownPatterns(100, began=50.0)
    assert known.meet(12345, 60) == (60, True)
    assert known.meet(12345, 70) == (60, False)
    assert known.meet(0, 80) == (80, True)
    assert known.meet(0, 90) == (80, False)
    assert len(known) == 2


def test_at_least_the_last_ones_are_known() -> None:
    known = KnownPatterns(100, began=0.0)
    ids = [number * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF for number in range(1, 2001)]
    for number in ids:
        assert known.meet(number, 1)[1]
    assert not any(known.meet(number, 2)[1] for number in ids[-200:])
    assert len(known) <= 400


def test_what_is_kept_outlives_a_flood() -> None:
    known = KnownPatterns(100, began=0.0)
    known.meet(7, 3)
    generation = known.generation
    for number in range(1000, 5000):
        known.meet(number * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF, 9)
        if known.generation != generation:
            generation = known.generation
            known.keep(7, 3)
    assert known.meet(7, 99) == (3, False)


def test_a_dump_is_known_to_another() -> None:
    known = KnownPatterns(100, began=10.0)
    known.meet(5, 11)
    known.meet(6, 12)
    other = KnownPatterns(1000, began=99.0)
    other.load(known.dump())
    assert other.began == 10
    assert other.meet(5, 100) == (11, False)
    assert other.meet(7, 100) == (100, True)


def test_what_is_new_is_new_to_each_labelling_by_itself() -> None:
    known = KnownPatterns(100, began=10.0)
    first = KnownScope(known, "", 20)
    further = KnownScope(known, "severity", 20)
    assert first.meet(5, 30) == (30, True)
    assert further.meet(5, 31) == (31, True)
    assert further.meet(5, 32) == (31, False)
    assert (first.began, further.began) == (10, 20), "one that is added begins to learn"
    other = KnownPatterns(100, began=99.0)
    other.load(known.dump())
    assert KnownScope(other, "severity", 100).began == 20
    assert KnownScope(other, "urgency", 100).began == 100


def test_when_a_labelling_began_outlives_a_flood() -> None:
    known = KnownPatterns(100, began=10.0)
    further = KnownScope(known, "severity", 20)
    generation = known.generation
    for number in range(1000, 5000):
        known.meet(number * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF, 9)
        if known.generation != generation:
            generation = known.generation
            further.keep_began()
    assert KnownScope(known, "severity", 99).began == 20


@pytest.mark.parametrize("cut", [0, 1, 30, -1])
def test_what_is_damaged_is_refused(cut: int) -> None:
    known = KnownPatterns(100, began=10.0)
    known.meet(5, 11)
    data = known.dump()
    with pytest.raises(NotKnown):
        KnownPatterns(100, began=0.0).load(data[:cut])
    flipped = bytearray(data)
    flipped[40] ^= 1
    with pytest.raises(NotKnown):
        KnownPatterns(100, began=0.0).load(bytes(flipped))


def test_what_one_process_meets_the_others_know(tmp_path: Path) -> None:
    known = KnownPatterns(100, 0.0, tmp_path / "lock")
    child = multiprocessing.get_context("fork").Process(target=known.meet, args=(77, 5))
    child.start()
    child.join()
    assert known.meet(77, 9) == (5, False)


class Kept:
    """A file of known patterns, and what was told of it."""

    def __init__(self, path: Path) -> None:
        self.faults: list[PatternFault] = []
        self.known = KnownPatterns(100, began=1.0)
        self.file = KnownFile(path, self.known, self.faults.append)


def test_the_file_outlives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "new" / "known"
    first = Kept(path)
    first.file.read()
    assert not first.file.has_news()
    first.known.meet(5, 11)
    assert first.file.has_news()
    first.file.write()
    assert not first.file.has_news()
    second = Kept(path)
    second.file.read()
    assert second.known.meet(5, 99) == (11, False)
    assert not second.file.has_news()
    assert first.faults == second.faults == []


@pytest.mark.parametrize("content", [b"", b"nonsense", b"waybill known patterns 1\n" + bytes(99)])
def test_a_damaged_file_is_told_and_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "known"
    path.write_bytes(content)
    kept = Kept(path)
    kept.file.read()
    assert kept.faults == ["read"]
    kept.known.meet(5, 11)
    kept.file.write()
    again = Kept(path)
    again.file.read()
    assert again.faults == []
    assert len(again.known) == 1


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kept = Kept(tmp_path / "file" / "known")
    kept.known.meet(5, 11)
    kept.file.write()
    assert kept.faults == ["write"]
    assert kept.file.has_news()
