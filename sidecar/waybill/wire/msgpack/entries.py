"""Entries of event streams in plain values, and in the shape that older receivers know."""

from __future__ import annotations

import msgpack
import msgspec

from waybill.core.records import Verdict
from waybill.wire.allowance import MOST_RECORD_BYTES, MOST_VALUES
from waybill.wire.codec import DECODE_ERRORS
from waybill.wire.event import Event, jsonable_members, members_of
from waybill.wire.moments import Moment, entry_moment
from waybill.wire.msgpack import scan
from waybill.wire.timestamps import moment_of

#: What reading msgpack can raise: a map as a map's key is a TypeError, a time past year 9999 an
#: OverflowError.
_UNREADABLE = (*DECODE_ERRORS, ValueError, TypeError, OverflowError, msgpack.UnpackException)
_ESCAPED = "surrogateescape"
#: Of maps with more than 15 members: how long the header is.
_MAP_HEADERS = {b"\xde": 3, b"\xdf": 5}
_RAW_PAIR = msgspec.msgpack.Decoder(tuple[msgspec.Raw, msgspec.Raw])
#: Where nothing says when it was.
_NO_TIME: Moment = (0, 0)
_EMPTY_MAP = b"\x80"


def read_entry(entry: bytes, verdict: Verdict) -> Event:
    """A labelled entry as an `Event`; its record is None where it cannot be read."""
    event = Event(verdict, original=entry)
    if len(entry) > MOST_RECORD_BYTES:
        return event
    try:
        time, metadata, raw = _split_entry(entry)
        when = msgpack.unpackb(time, strict_map_key=False) if time else None
        about = _unpack(metadata or _EMPTY_MAP)
        record = _unpack(raw)
        if not isinstance(record, dict):
            return event
        event.record = jsonable_members(record)
    except _UNREADABLE:
        return event
    if not time:
        return event
    event.moment = entry_moment(when)
    if event.moment == _NO_TIME:
        event.moment = moment_of(when) or _NO_TIME
    if isinstance(about, dict):
        event.metadata = about
    return event


def _unpack(data: bytes) -> object:
    """The value in ``data``, of which no member is lost."""
    if data == _EMPTY_MAP:
        return {}
    if len(data) > MOST_VALUES and scan.value_end(data, 0, MOST_VALUES) < 0:
        raise ValueError("too many values")
    value: object = msgpack.unpackb(data, strict_map_key=False, unicode_errors=_ESCAPED)
    # What is written again as it was read had each name once. The hook takes three times as long.
    again = msgpack.packb(value, unicode_errors=_ESCAPED)
    if _behind_header(again) == _behind_header(data):
        return value
    hooked: object = msgpack.unpackb(
        data, strict_map_key=False, unicode_errors=_ESCAPED, object_pairs_hook=members_of
    )
    return hooked


def _behind_header(data: bytes) -> bytes:
    """Without the header of a map, which shippers write longer than they must."""
    return data[_MAP_HEADERS.get(data[:1], 1) :]


def drop_metadata(entry: bytes) -> bytes:
    """``[[time, metadata], record]`` as ``[time, record]``: all that some receivers know."""
    if entry[:2] != b"\x92\x92":
        return entry
    time_end = scan.value_end(entry, 2)
    metadata_end = scan.value_end(entry, time_end)
    return b"\x92" + entry[2:time_end] + entry[metadata_end:]


def _split_entry(entry: bytes) -> tuple[bytes, bytes | None, bytes]:
    """An entry as the raw bytes of (time, metadata, record); a record without a time is all."""
    if scan.map_header(entry, 0) is not None:
        return b"", None, entry
    head, record = _RAW_PAIR.decode(entry)
    time = bytes(memoryview(head))
    metadata = None
    if time[:1] == b"\x92":
        inner, beside = _RAW_PAIR.decode(time)
        time = bytes(memoryview(inner))
        metadata = bytes(memoryview(beside))
    return time, metadata, bytes(memoryview(record))
