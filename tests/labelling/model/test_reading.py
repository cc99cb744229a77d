"""In what order an encoder reads the members of a record."""

from __future__ import annotations

import pytest

from waybill.labelling.masking import mask
from waybill.labelling.model.reading import telling_first


@pytest.mark.parametrize(
    "text",
    [
        "",
        "connection refused",
        "a=0 b=0 type=x",
        "see https://example.org/?a=0&b=0&c=0&d=0",
        "x == y == z == 0 == 0",
        "GET /q?type=a&id=b&x=c&y=d HTTP/0",
    ],
)
def test_what_is_no_record_of_many_members_stays(text: str) -> None:
    assert telling_first(text) == text


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("id=<id> a=0 b=0 type=refused", "type=refused a=0 b=0 id=<id>"),
        ("CEF:0|x|y|0|n|0|src=<ip> spt=0 act=blocked userAgent=q",
         "CEF:0|x|y|0|n|0|act=blocked src=<ip> spt=0 userAgent=q"),
        ("INFO hello a=0 eventName=Delete b=two words here c=0",
         "INFO hello eventName=Delete a=0 b=two words here c=0"),
        ("orgId=0 actor.name=jane response.status=DENIED tenant=0 extra=0",
         "actor.name=jane response.status=DENIED tenant=0 extra=0 orgId=0"),
    ],
)  # fmt: skip
def test_what_happened_comes_before_who_and_where(text: str, read: str) -> None:
    assert telling_first(text) == read


def test_nothing_is_lost_and_a_second_time_changes_nothing() -> None:
    record = (
        '{"id":"7","agent":"curl/8","user":"jane doe","outcome":"DENIED","what":"export","n":3}'
    )
    once = telling_first(mask(record))
    assert sorted(once.split()) == sorted(mask(record).split())
    assert telling_first(once) == once


def test_members_in_another_order_are_read_alike() -> None:
    """But for those of one rank, which stay in theirs."""
    one = telling_first("event=login outcome=denied user=jane id=<id>")
    other = telling_first("id=<id> user=jane event=login outcome=denied")
    assert one == other
