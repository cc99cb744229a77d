"""Moments, and how Fluent writes them: its EventTime."""

from __future__ import annotations

import struct

import msgpack

#: Epoch seconds and nanoseconds.
Moment = tuple[int, int]
#: The first second that EventTime's 32 bits do not hold.
_END_SECS = 2**32


def entry_moment(when: object) -> Moment:
    """An entry's time; the epoch for what EventTime cannot say (infinite, negative, text)."""
    if isinstance(when, msgpack.ExtType) and when.code == 0 and len(when.data) == 8:
        seconds, nanos = struct.unpack(">II", when.data)
        return seconds, nanos
    if isinstance(when, msgpack.Timestamp) and when.seconds >= 0:
        return when.seconds, when.nanoseconds
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
