"""Patterns as they are written and read."""

from __future__ import annotations

import re

import msgspec
import pytest

from waybill.core.names import words
from waybill.core.pattern import Pattern, VerdictShare, decode, encode, kind_of, pattern_id
from waybill.core.reasons import Reason


def share(label: str, reason: Reason | None = None, count: int = 1) -> VerdictShare:
    return VerdictShare(label=label, tier="none", reason=reason, count=count)


def pattern(*verdicts: VerdictShare) -> Pattern:
    return Pattern(id="0" * 16, mask="disk 0 full", count=2, verdicts=verdicts)


@pytest.mark.parametrize("mask", ["", "disk 0 full", "größer", "\ud800 alone"])
def test_an_id_is_16_hex_digits_of_any_text(mask: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{16}", pattern_id(mask))
    assert pattern_id(mask) == pattern_id(str(mask))
    assert pattern_id(mask) != pattern_id(mask + " ")


def test_a_pattern_survives_its_line() -> None:
    one = pattern(share("Error"), share("Unclassified", "unknown"))
    line = encode(one)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert decode(line) == one


def test_members_that_a_later_version_writes_are_left_out() -> None:
    assert decode(b'{"id": "1", "mask": "m", "count": 1, "mood": [1]}').mask == "m"


@pytest.mark.parametrize("line", [b"", b"[]", b'{"id": "1"}', b'{"id": 1, "mask": "", "count": 1}'])
def test_a_line_that_is_no_pattern_is_refused(line: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(line)


def test_every_reason_has_a_kind() -> None:
    kinds = {reason: kind_of(reason) for reason in words(Reason)}  # type: ignore[arg-type]
    assert kinds["unknown"] == kinds["low_confidence"] == "undecided"
    assert kinds["model_disabled"] == kinds["llm_day_budget"] == kinds["rules_failed"]
    assert kinds["rules_failed"] == "not_asked"
    assert kinds["none_of_these"] == "no_event"
    assert kinds["no_message"] == "unreadable"
    assert kind_of(None) == "decided"


def test_what_nobody_could_say_makes_no_pattern_mixed() -> None:
    assert pattern(share("Error"), share("Resource Usage")).is_mixed
    assert pattern(share("Error"), share("Unclassified", "low_confidence")).is_mixed
    assert not pattern(share("Error"), share("Unclassified", "model_disabled")).is_mixed
    assert not pattern(share("Error"), share("Error")).is_mixed


def test_one_undecided_share_makes_a_pattern_undecided() -> None:
    assert pattern(share("Error"), share("Unclassified", "unknown")).is_undecided
    assert not pattern(share("Unclassified", "none_of_these")).is_undecided
    assert pattern().kind == "not_asked"
    assert pattern(share("Error")).kind == "decided"


def test_words_of_a_later_version_are_told_as_what_is_known() -> None:
    line = encode(pattern(share("Error"), share("Unclassified", "low_confidence")))
    newer = line.replace(b'"low_confidence"', b'"from_the_future"')
    newer = newer.replace(b'"tier":"none"', b'"tier":"oracle"', 1)
    assert [(one.tier, one.reason) for one in decode(newer).verdicts] == [
        ("none", None),
        ("none", "unknown"),
    ]
    for lie in (b'"tier":7', b'"tier":null', b'"tier":["none"]'):
        with pytest.raises(msgspec.ValidationError):
            decode(line.replace(b'"tier":"none"', lie, 1))
    for verdicts in (b"7", b"[7]", b'{"tier":"x"}', b'"oracle"'):
        with pytest.raises(msgspec.ValidationError):
            decode(b'{"id":"1","mask":"m","count":1,"verdicts":' + verdicts + b"}")
