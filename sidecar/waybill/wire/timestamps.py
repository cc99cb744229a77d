"""Times as records spell them, as moments.

Read are RFC 3339, ISO 8601 (basic and extended, reduced to minutes or hours, week and ordinal
dates), RFC 2822 and HTTP dates, the common log format, Go's and nginx's spelling, what databases
and runtimes write (`waybill.wire.odd_times`), and epochs in seconds, milliseconds, microseconds or
nanoseconds, as numbers or as text. A time without a zone is
UTC; one with a zone's name only (``CEST``) is not read, nor one without a year, as in syslog: both
would be a guess. What lies outside the years 2000 to 2099 is not a time of a log record: a
duration, a date as a number, a clock that was never set. The next field is asked then.

>>> moment_of("2024-05-01T12:00:00.5+02")
(1714557600, 500000000)
>>> moment_of(0.003) is None
True
"""

from __future__ import annotations

import datetime
import re
from email.utils import parsedate_tz

from waybill.wire.moments import Moment
from waybill.wire.odd_times import respelled

__all__ = ["midnight_of", "moment_of"]

#: The first second of 2000 and of 2100.
_FIRST, _END = 946_684_800, 4_102_444_800
#: Units per second. For plausible moments the four ranges lie apart.
_SCALES = (1, 10**3, 10**6, 10**9)
#: What MongoDB wraps a date in.
_WITHIN = ("$date", "$numberLong")
#: Longer texts are no times.
_MOST_CHARS = 100
_NUMBER = re.compile(r"(\d{9,19})(?:[.,](\d{1,30}))?")
#: How nearly all times are written: read by the standard library's fast reader.
_COMMON = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)
_DAY = r"(\d{4}(?:([-/.]?)\d\d\2\d\d|-?W\d\d-?\d|-?\d{3}))"
_CLOCK = r"(\d\d)(?:(:?)(\d\d)(?:\4(\d\d))?)?(?:[.,](\d{1,30}))?"
_OFFSET = r"(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)"
_ISO = re.compile(
    rf"{_DAY}(?:[T _]+|(?<=\d{{8}})){_CLOCK}\s*(?:{_OFFSET}"
    # what Go, RFC 9557 and others put behind: "CEST", "m=+0.1", "[Europe/Berlin]"
    r"(?:\s+[A-Z]{3,5})?(?:\s+m=\S+)?(?:\[[^\]]*\])*)?",
    re.IGNORECASE | re.ASCII,
)
_ISO_DAY = re.compile(_DAY, re.IGNORECASE | re.ASCII)
_CLF = re.compile(
    r"\[?(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d)(?:\.(\d+))?\s*([+-]\d{4})?\]?"
)
#: RFC 2822, RFC 850 and ctime all name the month between a day and a clock.
_MAIL = re.compile(r"(?:[A-Za-z]{3,9},? )?[\w -]*[A-Z][a-z]{2}[\w -]*\d\d:\d\d.*")


def moment_of(value: object) -> Moment | None:
    """The moment that ``value`` names, with a time of day; None where that is not plausible."""
    if isinstance(value, str):
        return _text_moment(value)
    if isinstance(value, dict):
        return _split_moment(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _number_moment(value)


def _split_moment(value: dict[object, object]) -> Moment | None:
    """``{"seconds": ..., "nanos": ...}``, as protobuf and its JSON have it; Log4j's instant and
    MongoDB's ``{"$date": ...}``.
    """
    for name in _WITHIN:
        if name in value:
            within = value[name]
            if isinstance(within, dict):
                within = within.get("$numberLong")
            return moment_of(within) if isinstance(within, str | int) else None
    seconds = value.get("seconds", value.get("epochSecond"))
    nanos = value.get("nanos", value.get("nanoOfSecond", 0))
    moment = moment_of(seconds)
    if moment is None or not isinstance(nanos, int) or not 0 <= nanos < _SCALES[-1]:
        return None
    return moment[0], nanos


def midnight_of(value: object) -> Moment | None:
    """The beginning of the day (UTC) that ``value`` names without a time of day, or None."""
    if not isinstance(value, str) or len(value) > _MOST_CHARS:
        return None
    match = _ISO_DAY.fullmatch(value.strip())
    if match is None:
        return None
    return _on_day(_day(match[1]), datetime.timedelta(), "")


def _number_moment(value: float) -> Moment | None:
    for scale in _SCALES:
        if not _FIRST * scale <= value < _END * scale:
            continue
        seconds, rest = divmod(value, scale)
        if isinstance(value, int):
            return int(seconds), int(rest) * (10**9 // scale)
        # A float holds about a microsecond of these.
        nanos = round(rest * 10**6 / scale) * 1000
        return _carried(int(seconds), nanos)
    return None


def _carried(seconds: int, nanos: int) -> Moment:
    return seconds + nanos // 10**9, nanos % 10**9


def _text_moment(text: str) -> Moment | None:
    if len(text) > _MOST_CHARS:
        return None
    match = _COMMON.fullmatch(text)
    found = _common(match) if match is not None else None
    if found is None:
        text = text.strip()
        found = _by_form(text)
    if found is None:
        other = respelled(text)
        found = _by_form(other) if other is not None else None
    return found


def _by_form(text: str) -> Moment | None:
    """By the first standard that ``text`` follows."""
    match = _NUMBER.fullmatch(text)
    if match is not None:
        found = _epoch_text(match[1], match[2] or "")
        if found is not None:
            return found
    match = _ISO.fullmatch(text)
    if match is not None:
        return _iso(match)
    match = _CLF.fullmatch(text)
    if match is not None:
        day, month, year, clock, fraction, offset = match.groups()
        found = _mail(f"{day} {month} {year} {clock} {offset or '+0000'}")
        return _with_fraction(found, fraction)
    if _MAIL.fullmatch(text) is not None:
        return _mail(text)
    return None


def _common(match: re.Match[str]) -> Moment | None:
    day, clock, fraction, zone = match.groups()
    try:
        when = datetime.datetime.fromisoformat(f"{day}T{clock}{zone or 'Z'}")
    except ValueError:  # a leap second, the end of a day, or none at all
        return None
    seconds = int(when.timestamp())
    if not _FIRST <= seconds < _END:
        return None
    return seconds, int((fraction or "0").ljust(9, "0"))


def _epoch_text(digits: str, fraction: str) -> Moment | None:
    """An epoch as text: every digit counts, where a float would have lost some."""
    value = int(digits)
    for scale in _SCALES:
        if _FIRST * scale <= value < _END * scale:
            nanos = int(fraction[:9].ljust(9, "0")) // scale
            seconds, rest = divmod(value, scale)
            return seconds, rest * (10**9 // scale) + nanos
    return None


def _iso(match: re.Match[str]) -> Moment | None:
    day, _, hour, _, minute, second, fraction, offset = match.groups()
    clock = datetime.timedelta(hours=int(hour), minutes=int(minute or 0), seconds=int(second or 0))
    if int(hour) > 24 or int(minute or 0) > 59 or int(second or 0) > 60:
        return None
    found = _on_day(_day(day), clock, (offset or "").upper())
    unit = 1
    if second is None:  # a decimal of the smallest unit that is there
        unit = 3600 if minute is None else 60
    return _with_fraction(found, fraction, unit)


def _with_fraction(found: Moment | None, fraction: str | None, unit_secs: int = 1) -> Moment | None:
    if found is None or fraction is None:
        return found
    return _carried(found[0], int(fraction[:9].ljust(9, "0")) * unit_secs)


def _day(text: str) -> datetime.date | None:
    """A date in any of ISO 8601's three forms, with or without separators."""
    text = text.upper().replace("/", "-").replace(".", "-")
    try:
        if len(text.replace("-", "")) == 7 and "W" not in text:  # a year and the day in it
            return datetime.datetime.strptime(text.replace("-", ""), "%Y%j").date()  # noqa: DTZ007
        return datetime.date.fromisoformat(text)
    except ValueError:
        return None


def _on_day(day: datetime.date | None, clock: datetime.timedelta, offset: str) -> Moment | None:
    if day is None:
        return None
    midnight = datetime.datetime.combine(day, datetime.time(), datetime.UTC)
    seconds = int(midnight.timestamp() + clock.total_seconds()) - _offset_secs(offset)
    return (seconds, 0) if _FIRST <= seconds < _END else None


def _offset_secs(offset: str) -> int:
    """``+02``, ``-0530`` or ``+05:30`` in seconds; a name of UTC is 0."""
    if offset[:1] not in ("+", "-"):
        return 0
    digits = offset[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600 + int(digits[2:] or 0) * 60
    return -seconds if offset.startswith("-") else seconds


def _mail(text: str) -> Moment | None:
    """RFC 2822 and its kin, by the standard library."""
    try:
        found = parsedate_tz(text)
        if found is None:
            return None
        when = datetime.datetime(*found[:6], tzinfo=datetime.UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    seconds = int(when.timestamp()) - (found[9] or 0)
    return (seconds, 0) if _FIRST <= seconds < _END else None
