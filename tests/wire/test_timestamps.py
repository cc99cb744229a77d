"""Times in every spelling that records use, and what looks like one and is none."""

from __future__ import annotations

import datetime
import json
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.core.records import Verdict
from waybill.settings.schema import FieldSettings
from waybill.wire import FieldPlan, JsonCodec
from waybill.wire.timestamps import midnight_of, moment_of

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MAY = 1714557600  # 2024-05-01T10:00:00Z
MOMENTS = st.integers(946_771_200 * 10**6, 4_102_272_000 * 10**6).map(
    lambda micros: EPOCH + datetime.timedelta(microseconds=micros)
)


@pytest.mark.parametrize(
    ("value", "nanos"),
    [
        (MAY, 0),
        (MAY * 10**3 + 7, 7_000_000),
        (MAY * 10**6 + 7, 7000),
        (MAY * 10**9 + 7, 7),
        (MAY + 0.25, 250_000_000),
        (f"{MAY}", 0),
        (f"{MAY}.123456789", 123_456_789),
        (f"{MAY}123.5", 123_500_000),
        (f"{MAY}123456", 123_456_000),
        (f"{MAY}123456789", 123_456_789),
        ("2024-05-01T10:00:00Z", 0),
        ("2024-05-01t10:00:00.5z", 500_000_000),
        (" 2024-05-01 10:00:00,123456789999 ", 123_456_789),
        ("2024-05-01T12:00:00+02", 0),
        ("2024-05-01T15:30:00+0530", 0),
        ("2024-05-01T05:00:00-05:00", 0),
        ("20240501T100000Z", 0),
        ("20240501T100000.25", 250_000_000),
        ("20240501100000", 0),
        ("2024-05-01T10:00", 0),
        ("2024-05-01T10Z", 0),
        ("20240501T1000Z", 0),
        ("2024-W18-3T10:00:00Z", 0),
        ("2024W183T100000Z", 0),
        ("2024-122T10:00:00Z", 0),
        ("2024122T100000Z", 0),
        ("2024/05/01 10:00:00", 0),
        ("2024-05-01 10:00:00 UTC", 0),
        ("2024-05-01 12:00:00.5 +0200 CEST m=+0.12", 500_000_000),
        ("2024-05-01T12:00:00+02:00[Europe/Berlin]", 0),
        ("01.05.2024 10:00:00,25", 250_000_000),
        ("1.5.2024 10:00:00", 0),
        ("2024-5-1 10:00:00", 0),
        ("2024-05-01-10.00.00.123456", 123_456_000),
        ("2024-05-01:10:00:00", 0),
        ("01-May-2024 10:00:00.5", 500_000_000),
        ("2024-May-01 10:00:00", 0),
        ("May 1, 2024 10:00:00 AM", 0),
        ("Wednesday, May 1, 2024 at 10:00:00 AM UTC", 0),
        (f"/Date({MAY}007+0200)/", 7_000_000),
        ("1.7145576E9", 0),
        ({"$date": "2024-05-01T12:00:00.007+02:00"}, 7_000_000),
        ({"$date": {"$numberLong": f"{MAY}007"}}, 7_000_000),
        ({"epochSecond": MAY, "nanoOfSecond": 7}, 7),
        ({"seconds": MAY, "nanos": 7}, 7),
        ({"seconds": str(MAY)}, 0),
        ("Wed, 01 May 2024 12:00:00 +0200", 0),
        ("1 May 2024 10:00:00 GMT", 0),
        ("Wednesday, 01-May-24 10:00:00 GMT", 0),
        ("Wed May  1 10:00:00 2024", 0),
        ("01/May/2024:12:00:00 +0200", 0),
        ("[01/May/2024:10:00:00.5 +0000]", 500_000_000),
    ],
)
def test_a_time_in_any_spelling(value: object, nanos: int) -> None:
    found = moment_of(value)
    assert found == (MAY, nanos)


@pytest.mark.parametrize(
    "value",
    [
        *(0, 0.003, -1, 7, 20240101, 20240501100000, 10**20, 2**80, True, None, [], {}),
        *(float("nan"), float("inf"), "", "noon", "0.003", "20240101", "2024", "12:00:00"),
        *(
            "May  1 10:00:00",
            "1970-01-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "2024-13-01T10:00:00Z",
        ),
        *("2024-05-01T25:00:00Z", "2024-05-01T10:61:00Z", "05/01/2024 10:00:00", "9" * 5000),
        *("Meeting in May about 10:00", "2024-05-01T10:00:00 tomorrow", "2024-366T10:00:00x"),
    ],
)
def test_what_is_no_time_of_a_record(value: object) -> None:
    assert moment_of(value) is None


@pytest.mark.parametrize("text", ["2024-05-01", "20240501", "2024-W18-3", "2024-122", "2024/05/01"])
def test_a_day_is_its_midnight(text: str) -> None:
    assert moment_of(text) is None
    assert midnight_of(text) == (MAY - 36_000, 0)


def test_a_decimal_belongs_to_the_smallest_unit() -> None:
    assert moment_of("2024-05-01T09.5Z") == (MAY - 1800, 0)
    assert moment_of("2024-05-01T09:59,5Z") == (MAY - 30, 0)


def test_a_leap_second_and_the_end_of_a_day_are_times() -> None:
    assert moment_of("2016-12-31T23:59:60Z") == moment_of("2017-01-01T00:00:00Z")
    assert moment_of("2024-05-01T24:00:00Z") == moment_of("2024-05-02T00:00:00Z")


@given(MOMENTS, st.integers(-14 * 60, 14 * 60))
def test_what_the_standard_library_writes_is_read(when: datetime.datetime, minutes: int) -> None:
    there = when.astimezone(datetime.timezone(datetime.timedelta(minutes=minutes)))
    whole = int(when.replace(microsecond=0).timestamp())
    assert moment_of(there.isoformat()) == (whole, when.microsecond * 1000)
    assert moment_of(format_datetime(there)) == (whole, 0)


@given(st.text(st.sampled_from("0123456789-/:.,TZW +[]May"), max_size=120))
def test_any_text_is_a_plausible_time_or_none(text: str) -> None:
    for found in (moment_of(text), midnight_of(text)):
        assert found is None or (946_684_800 <= found[0] <= 4_102_448_400 and found[1] < 10**9)


@pytest.mark.parametrize(
    ("record", "moment"),
    [
        ({"time": 0.003, "@timestamp": "2024-05-01T10:00:00Z"}, (MAY, 0)),
        ({"date": 20240101, "@timestamp": "2024-05-01T10:00:00Z"}, (MAY, 0)),
        ({"date": "2024-05-01", "time": "01/May/2024:10:00:00 +0000"}, (MAY, 0)),
        ({"date": "2024-05-01", "time": "10:00:00"}, (MAY - 36_000, 0)),
        ({"timestamp": "", "time": MAY}, (MAY, 0)),
        ({"time": 0.003}, None),
    ],
)
def test_the_first_plausible_time_counts(record: dict[str, object], moment: object) -> None:
    codec = JsonCodec(FieldPlan(FieldSettings()))
    batch = codec.decode(json.dumps({"log": "a"} | record).encode())
    (event,) = codec.events(batch, [Verdict("Error", "rule")])
    assert event.moment == moment


@pytest.mark.parametrize(
    "value",
    [
        "2024-05-01 10:00:00 CEST",
        "2024-05-01T10:00:00[Europe/Berlin]",
        {"seconds": 5},
        {"seconds": MAY, "nanos": -1},
        {"nanos": 5},
        {},
    ],
)
def test_a_zone_by_name_only_or_half_a_time_is_none(value: object) -> None:
    assert moment_of(value) is None
