"""Patterns that read alike share a group, and never with one that tells another outcome."""

from __future__ import annotations

import itertools

import pytest

from waybill.core.pattern import pattern_id
from waybill.labelling.masking import mask
from waybill.patterns.alike import Alike, group_ids, tells_outcome

ALIKE = [
    ["user ann logged in from <ip>", "user bob logged in from <ip>"],
    ["job=nightly took 0 ms", "job=cleanup took 0 ms"],
    ["GET /cart/<id> answered 0 in 0 ms", "GET /order/<id> answered 0 in 0 ms"],
    ["INFO [main-0] app: queue mail has 0 entries", "INFO [main-0] app: queue fax has 0 entries"],
]
APART = [
    ["login of ann failed on host a", "login of ann accepted on host a"],
    ["INFO link eth0 changed now", "ERROR link eth0 changed now"],
    ["interface eth0 is now up", "interface eth0 is now down"],
    ["task a b c status=failed", "task a b c status=completed"],
    ["certificate of shop is valid again", "certificate of shop is not valid"],
    ["disk sda", "disk sdb"],
    ["", "one two three"],
]


@pytest.mark.parametrize("masks", ALIKE)
def test_masks_that_differ_in_a_value_share_a_group(masks: list[str]) -> None:
    for order in itertools.permutations(masks):
        assert len(set(group_ids(order))) == 1


@pytest.mark.parametrize("masks", APART)
def test_masks_that_tell_something_else_do_not(masks: list[str]) -> None:
    assert len(set(group_ids(masks))) == len(masks)


def test_a_group_keeps_its_id_and_tells_what_its_masks_share() -> None:
    alike = Alike()
    first = mask("user ann logged in from 10.0.0.1")
    group = alike.add(first)
    assert group == pattern_id(first)
    assert alike.add("user bob logged in from <ip>") == group
    assert alike.form(group) == "user <*> logged in from <ip>"


def test_groups_that_are_known_are_taken_up_again() -> None:
    begun = Alike()
    group = begun.add("user ann logged in from <ip>")
    again = Alike()
    again.add("user ann logged in from <ip>", group)
    assert again.add("user cid logged in from <ip>") == group


@pytest.mark.parametrize("word", ["FAILED:", "[error]", "status=up", "not", "unauthorised"])
def test_words_that_tell_an_outcome(word: str) -> None:
    assert tells_outcome(word)


@pytest.mark.parametrize("word", ["ann", "nightly-backup", "0", "", "upper", "notes"])
def test_words_that_tell_none(word: str) -> None:
    assert not tells_outcome(word)
