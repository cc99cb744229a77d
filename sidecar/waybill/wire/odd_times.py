"""Spellings of times that no standard has, in one that ISO 8601 has.

What can be read in two ways (``01/05/2024``: May or January) is not read.

>>> respelled("1.5.2024 9:00:00,5")
'2024-05-01T09:00:00.5'
>>> respelled("May 1, 2024 3:00:00 PM")
'2024-05-01T15:00:00'
"""

from __future__ import annotations

import re

__all__ = ["respelled"]

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(?P<name>[A-Za-z]{3})[a-z]{0,6}\.?"
_CLOCK = (
    r"(?P<hour>\d{1,2})(?P<between>[:.])(?P<minute>\d\d)(?P=between)(?P<second>\d\d)"
    r"(?P<fraction>[.,]\d{1,9})?(?:\s?(?P<half>[AaPp])\.?[Mm]\.?)?"
    r"\s?(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d)?"
)
_YEAR, _NUMBER, _DAY = r"(?P<year>\d{4})", r"(?P<month>\d{1,2})", r"(?P<day>\d{1,2})"
_SPELLINGS = tuple(
    re.compile(rf"(?:[A-Za-z]{{3,9}}, )?{date}{_CLOCK}", re.ASCII)
    for date in (
        rf"{_DAY}\.{_NUMBER}\.{_YEAR}[T ,]+",  # as in Germany
        rf"{_YEAR}(?P<dash>[-/.]){_NUMBER}(?P=dash){_DAY}[T ,:_-]+",  # DB2, and without zeros
        rf"{_DAY}[-/ ]{_MONTH}[-/ ]{_YEAR}[T ,:]+",  # Oracle, Tomcat
        rf"{_YEAR}[-/ ]{_MONTH}[-/ ]{_DAY}[T ,:]+",
        rf"{_MONTH} {_DAY}, {_YEAR},? (?:at )?",  # java.util.logging, browsers
    )
)
#: JSON of .NET: milliseconds, and a zone that changes nothing.
_DOTNET = re.compile(r"\\?/Date\((\d{12,13})(?:[+-]\d{4})?\)\\?/")
#: A number as a C library prints it.
_SCIENTIFIC = re.compile(r"\d\.\d{1,18}[eE]\+?\d{1,2}")


def respelled(text: str) -> str | None:
    """``text`` as ISO 8601 or as an epoch has it; None where it is spelt otherwise."""
    match = _DOTNET.fullmatch(text)
    if match is not None:
        return match[1]
    if _SCIENTIFIC.fullmatch(text) is not None:
        return str(round(float(text)))
    for spelling in _SPELLINGS:
        match = spelling.fullmatch(text)
        if match is not None:
            return _iso(match.groupdict())
    return None


def _iso(found: dict[str, str | None]) -> str | None:
    month = found.get("month")
    name = (found.get("name") or "").lower()
    if month is None and name in _MONTHS:
        month = str(_MONTHS.index(name) + 1)
    hour = _hour(found)
    if month is None or hour is None:
        return None
    fraction = (found["fraction"] or "").replace(",", ".")
    date = f"{found['year']}-{month:0>2}-{found['day']:0>2}"
    return f"{date}T{hour:02}:{found['minute']}:{found['second']}{fraction}{found['zone'] or ''}"


def _hour(found: dict[str, str | None]) -> int | None:
    hour = int(found["hour"] or 0)
    half = (found["half"] or "").lower()
    if not half:
        return hour
    if not 1 <= hour <= 12:
        return None
    return hour % 12 + 12 * (half == "p")
