"""In what order an encoder reads the members of a record."""

from __future__ import annotations

import pytest

from waybill.labelling.masking import mask
from waybill.labelling.model.reading import read


def _telling_first(text: str) -> str:
    return read(text, 1)


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
@pytest.mark.parametrize("way", [0, 1, 2])
def test_what_is_no_record_of_many_members_stays(text: str, way: int) -> None:
    assert read(text, way) == text


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
    assert _telling_first(text) == read


def test_nothing_is_lost_and_a_second_time_changes_nothing() -> None:
    record = (
        '{"id":"7","agent":"curl/8","user":"jane doe","outcome":"DENIED","what":"export","n":3}'
    )
    once = _telling_first(mask(record))
    assert sorted(once.split()) == sorted(mask(record).split())
    assert _telling_first(once) == once


def test_members_in_another_order_are_read_alike() -> None:
    """But for those of one rank, which stay in theirs."""
    one = _telling_first("event=login outcome=denied user=jane id=<id>")
    other = _telling_first("id=<id> user=jane event=login outcome=denied")
    assert one == other


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("error=null user=jane action=login ip=<ip> proxy=- n=0", "action=login user=jane n=0"),
        ('a="" b=none c=N/A d="-", e=0', "e=0"),
        ("id=<id> a=<ip> b=- c=null", "a=<ip> b=- c=null id=<id>"),
        ("app_name=x group_name=y os_type=z rule_name=brute", "rule_name=brute app_name=x group_name=y os_type=z"),
        ("srcport=0 report=late country=DE user=jane", "report=late user=jane srcport=0 country=DE"),
        ("app: [x@0 user=jane who=ann sev=high act=read]", "app: [x@0 sev=high act=read] user=jane who=ann"),
        ("success=false n=0 user=jane id=<id>", "success=false n=0 user=jane"),
    ],
)  # fmt: skip
def test_the_second_way_leaves_out_what_has_no_value(text: str, said: str) -> None:
    assert read(text, 2) == said


@pytest.mark.parametrize("way", [0, 1, 2])
@pytest.mark.parametrize("unit", ["a=0 ", "a=", "a=0|", "[a=0", "a.b"])
def test_records_without_end_are_read(unit: str, way: int) -> None:
    text = unit * 20_000
    assert len(read(text, way)) < 2 * len(text)
