"""Times of records: found among their fields, and written as Fluent's EventTime."""

from __future__ import annotations

import datetime
import re
import struct

import msgpack

#: Epoch seconds and nanoseconds.
Moment = tuple[int, int]
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?\s*(Z|[+-]\d\d:?\d\d)?$"
)
#: Shippers write seconds, milliseconds, microseconds or nanoseconds: units per second. Today these
#: are 10, 13, 16 and 19 digits.
_SCALES = (1, 10**3, 10**6, 10**9)
#: The first second that EventTime's 32 bits do not hold.
_END_SECS = 2**32


def moment_of(value: object) -> Moment | None:
    """The moment that ``value`` names: a number or ISO 8601 text; None for anything else."""
    if isinstance(value, str):
        return _iso_moment(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value < 10**20:
        return None
    return _number_moment(value)


def _number_moment(value: float) -> Moment | None:
    scale = 10**9
    for candidate in _SCALES:
        if value < 10**11 * candidate:
            scale = candidate
            break
    seconds, rest = divmod(value, scale)
    if isinstance(value, float):
        nanos = round(rest * 10**6 / scale) * 1000
    else:
        nanos = int(rest) * (10**9 // scale)
    if seconds >= _END_SECS or nanos >= 10**9:
        return None
    return int(seconds), nanos


def _iso_moment(text: str) -> Moment | None:
    match = _ISO.match(text)
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    try:
        moment = datetime.datetime.fromisoformat(f"{day}T{clock}{zone or 'Z'}")
    except ValueError:
        return None
    seconds = int(moment.timestamp())
    if not 0 <= seconds < _END_SECS:
        return None
    return seconds, int((fraction or "0").ljust(9, "0"))


def entry_moment(when: object) -> Moment:
    """An entry's time; the epoch for what EventTime cannot say (infinite, negative, text)."""
    if isinstance(when, msgpack.ExtType) and when.code == 0 and len(when.data) == 8:
        seconds, nanos = struct.unpack(">II", when.data)
        return seconds, nanos
    if isinstance(when, int | float) and 0 <= when < _END_SECS:
        return split_seconds(when)
    return 0, 0


def split_seconds(seconds: float) -> Moment:
    """Epoch ``seconds`` as a `Moment`."""
    whole = int(seconds)
    return whole, int((seconds - whole) * 1e9)


def nanoseconds(moment: Moment) -> int:
    """``moment`` in nanoseconds since the epoch."""
    return moment[0] * 10**9 + moment[1]


def event_time(moment: Moment) -> msgpack.ExtType:
    """Fluent's EventTime: ext type 0, big-endian uint32 seconds and nanoseconds."""
    seconds, nanos = moment
    return msgpack.ExtType(0, struct.pack(">II", seconds & 0xFFFFFFFF, nanos))
