"""Numbers and times as pages write them: one form for each, so that two places never differ."""

from __future__ import annotations

from datetime import UTC, datetime

from waybill.core.correction import moment

_FULL = 10_000
_MINUTE, _HOUR, DAY = 60, 3600, 86_400


def read_whole(word: str, most_digits: int = 9) -> int | None:
    """The number that an address or a form holds; None for other text, or for more digits.

    >>> read_whole("17"), read_whole("\N{SUPERSCRIPT TWO}"), read_whole("-1"), read_whole("")
    (17, None, None, None)
    """
    is_number = word.isascii() and word.isdigit() and len(word) <= most_digits
    return int(word) if is_number else None


def count(number: float) -> str:
    """A number of records.

    >>> count(9999), count(12_400), count(4_100_000)
    ('9,999', '12.4k', '4.1 M')
    """
    if number < _FULL:
        return f"{round(number):,}"
    if number < 1_000_000:
        return f"{number / 1000:.1f}k".replace(".0k", "k")
    if number < 1_000_000_000:
        return f"{number / 1_000_000:.1f} M"
    return f"{number / 1_000_000_000:.1f} G"


def rate(per_hour: float, of_day: float) -> str:
    """Records in an hour; where those are fewer than 10, records of the last day.

    >>> rate(1240, 9000), rate(1, 31)
    ('1,240/h', '31/day')
    """
    if per_hour >= 10:
        return f"{count(per_hour)}/h"
    return f"{count(of_day)}/day"


def share(part: float, whole: float) -> str:
    """A share in percent, with one decimal; never ``0.0 %`` for more than nothing.

    >>> share(1, 100_000), share(21, 1000), share(0, 5)
    ('< 0.1 %', '2.1 %', '0 %')
    """
    if whole <= 0 or part <= 0:
        return "0 %"
    percent = 100 * part / whole
    if percent < 0.1:
        return "< 0.1 %"
    return f"{percent:.1f} %"


def ago(moment: float, now: float) -> str:
    """How long ago, up to a day; else the time in UTC.

    >>> ago(100.0, 112.0), ago(0.0, 7200.0)
    ('12 s ago', '2 h ago')
    """
    past = max(0.0, now - moment)
    if past < _MINUTE:
        return f"{int(past)} s ago"
    if past < _HOUR:
        return f"{int(past // _MINUTE)} min ago"
    if past < DAY:
        return f"{int(past // _HOUR)} h ago"
    return utc(moment)


def size(amount: float) -> str:
    """A number of bytes, in the unit that leaves few digits.

    >>> size(300), size(3_250_000), size(4 << 30)
    ('300 bytes', '3.1 MB', '4 GB')
    """
    if amount < 1024:
        return f"{amount:.0f} bytes"
    units = ["GB", "MB", "KB"]
    amount /= 1024
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        units.pop()
    return f"{amount:,.1f} {units[-1]}".replace(".0 ", " ")


def span(secs: float) -> str:
    """A time that has passed, in whole minutes or hours, at least one.

    >>> span(20), span(3 * 3600)
    ('1 min', '3 h')
    """
    if secs < _HOUR:
        return f"{max(1, round(secs / _MINUTE))} min"
    return f"{round(secs / _HOUR)} h"


def utc(moment: float) -> str:
    """A time in UTC, to the second.

    >>> utc(0)
    '1970-01-01 00:00:00 UTC'
    """
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"


def iso(moment: float) -> str:
    """A time as ``datetime`` of ``<time>`` has it."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"


def seconds(at: str) -> float | None:
    """The time of a correction (RFC 3339) in seconds since 1970; None where it cannot be read.

    >>> seconds("1970-01-01T00:00:02Z"), seconds("soon")
    (2.0, None)
    """
    try:
        return moment(at).timestamp()
    except ValueError:
        return None
