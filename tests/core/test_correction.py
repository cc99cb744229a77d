"""What stands of a history of corrections."""

from __future__ import annotations

import msgspec
import pytest

from waybill.core.correction import (
    Correction,
    correction_id,
    decode_correction,
    encode_correction,
    moment,
    new_correction,
    settle,
    withdrawal,
)


def said(label: str, at: int, by: str = "ann", source: str = "*") -> Correction:
    """A correction of one mask, made ``at`` that minute."""
    time = f"2026-11-26T10:{at:02}:00Z"
    return new_correction("User 0 left", label, source=source, by=by, at=time)


def standing(*history: Correction) -> dict[str, tuple[str, bool]]:
    """What stands, by source: the label and whether it is disputed."""
    found = settle(history)
    return {one.correction.source: (one.correction.label, one.is_disputed) for one in found}


def test_a_correction_is_one_line_and_comes_back_whole() -> None:
    taken_back = withdrawal(said("Error", 1), by="bob", note="two\nlines")
    line = encode_correction(taken_back)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode_correction(line) == taken_back


def test_unknown_fields_are_passed_over_and_missing_ones_are_not() -> None:
    line = b'{"id":"1","mask":"m","label":"X","at":"2026-11-26T10:00:00Z","severity":[1]}'
    assert decode_correction(line).source == "*"
    with pytest.raises(msgspec.DecodeError, match="mask"):
        decode_correction(b'{"id":"1","label":"X","at":"2026-11-26T10:00:00Z"}')


def test_ids_differ_in_whatever_makes_a_correction() -> None:
    when = "2026-11-26T10:00:00Z"
    names = {
        correction_id("m", "*", "Error", "ann", when),
        correction_id("\ud800", "*", "Error", "ann", when),
        correction_id("m", "CRM", "Error", "ann", when),
        correction_id("m", "*", "User Action", "ann", when),
        correction_id("m", "*", "Error", "bob", when),
        correction_id("m", "*", "Error", "ann", "2026-11-26T10:00:01Z"),
        correction_id("m", "*", "Error", "ann", when, "0123456789abcdef"),
    }
    assert len(names) == 7
    assert all(len(name) == 16 for name in names)


def test_the_latest_decides_whatever_the_order_of_the_lines() -> None:
    first, second = said("Error", 1), said("User Action", 2)
    assert standing(first, second) == {"*": ("User Action", False)}
    assert standing(second, first) == {"*": ("User Action", False)}


def test_times_of_other_zones_are_compared_as_times() -> None:
    early = new_correction("m", "Error", at="2026-11-26T11:30:00+02:00")
    late = new_correction("m", "User Action", at="2026-11-26T10:00:00Z")
    assert [one.correction.label for one in settle([late, early])] == ["User Action"]
    assert moment("2026-11-26T11:30:00+02:00") < moment("2026-11-26T10:00:00Z")


@pytest.mark.parametrize("at", ["", "today", "2026-11-26T10:00:00", "1764151200"])
def test_what_is_no_time_is_refused(at: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        moment(at)


def test_sources_stand_beside_each_other() -> None:
    found = standing(said("Error", 1), said("User Action", 2, source="ModernCRM"))
    assert found == {"*": ("Error", False), "ModernCRM": ("User Action", False)}


def test_what_is_taken_back_gives_way_to_what_was_before() -> None:
    first, second = said("Error", 1), said("User Action", 2)
    taken_back = withdrawal(second, at="2026-11-26T10:03:00Z")
    assert standing(first, second, taken_back) == {"*": ("Error", False)}
    assert standing(taken_back, second, first) == {"*": ("Error", False)}
    assert standing(second, taken_back) == {}


def test_taking_back_can_be_taken_back() -> None:
    first = said("Error", 1)
    history = [first]
    for _ in range(3):
        history.append(withdrawal(history[-1]))
    assert [standing(*history[:size]) != {} for size in range(1, 5)] == [True, False, True, False]


def test_a_forged_circle_takes_nothing_back() -> None:
    first = said("Error", 1)
    one = msgspec.structs.replace(first, id="1", withdraws="2")
    two = msgspec.structs.replace(first, id="2", withdraws="1")
    itself = msgspec.structs.replace(first, id="3", withdraws="3")
    assert standing(first, one, two, itself) == {"*": ("Error", False)}


def test_two_people_who_differ_leave_a_mark_until_one_gives_way() -> None:
    ann, bob = said("Error", 1, "ann"), said("User Action", 2, "bob")
    assert standing(ann, bob) == {"*": ("User Action", True)}
    assert standing(ann, bob, said("User Action", 3, "ann")) == {"*": ("User Action", False)}
    assert standing(ann, bob, withdrawal(ann)) == {"*": ("User Action", False)}
    assert standing(ann, said("User Action", 2, "ann")) == {"*": ("User Action", False)}
