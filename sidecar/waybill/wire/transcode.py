"""Records in the encoding that a receiver takes, one by one.

Within one encoding records are spliced and stay as they were, byte for byte. Between encodings
(JSON in, Forward out, or msgpack in, JSON out) there is no such thing: values are kept, spellings
are not. What the other encoding cannot say is written so that nothing is lost: a big integer
becomes a string, bytes that are not text become U+FFFD with the original beside them as base64.
"""

from __future__ import annotations

import base64
import datetime
import math
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgpack
import msgspec
import orjson

from waybill.core.records import Batch, Verdict
from waybill.wire.fields import FieldPlan
from waybill.wire.json.codec import DECODE_ERRORS, JsonCodec
from waybill.wire.msgpack import scan as packed
from waybill.wire.msgpack.codec import MsgpackCodec
from waybill.wire.otlp import OtlpCodec, OtlpJsonCodec
from waybill.wire.otlp.flat import Flat, flat_records

Codec = JsonCodec | MsgpackCodec | OtlpCodec | OtlpJsonCodec
#: Epoch seconds and nanoseconds.
Moment = tuple[int, int]
#: Where the bytes go that are no text, beside their readable form.
RAW_FIELD = "raw_base64"
_INT64 = range(-(2**63), 2**64)
#: What reading msgpack can raise: a map as a map's key is a TypeError, a time past year 9999 an OverflowError.
_UNREADABLE = (*DECODE_ERRORS, ValueError, TypeError, OverflowError, msgpack.UnpackException)
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?\s*(Z|[+-]\d\d:?\d\d)?$"
)


def json_records(codec: Codec, batch: Batch, verdicts: Sequence[Verdict]) -> list[bytes]:
    """Each labelled record as the text of one JSON object that a strict parser takes."""
    if isinstance(codec, OtlpCodec | OtlpJsonCodec):
        found = zip(flat_records(codec, batch, verdicts), verdicts, strict=True)
        return [
            _value_to_json(*_told(flat, codec.plan, verdict), codec.plan) for flat, verdict in found
        ]
    records = codec.split(batch, verdicts)
    if isinstance(codec, MsgpackCodec):
        return [
            _entry_to_json(record, codec.plan, verdict)
            for record, verdict in zip(records, verdicts, strict=True)
        ]
    for i, odd in batch.odd.items():
        if not odd.is_strict or odd.reason == "not_an_object":
            original = batch.body[batch.starts[i] : odd.stop]
            records[i] = orjson.dumps(wrap_record(original, codec.plan, verdicts[i]))
    return records


def msgpack_entries(
    codec: Codec, batch: Batch, verdicts: Sequence[Verdict], now: Callable[[], float]
) -> list[bytes]:
    """Each labelled record as one ``[time, record]`` or ``[[time, metadata], record]`` entry.

    A JSON record's time is read from the configured time fields, else it is ``now()`` (epoch seconds).
    """
    if isinstance(codec, OtlpCodec | OtlpJsonCodec):
        found = zip(flat_records(codec, batch, verdicts), verdicts, strict=True)
        told = [_told(flat, codec.plan, verdict) for flat, verdict in found]
        return [
            msgpack.packb([_ext_time(*(time or split_seconds(now()))), _packable(record)])
            for time, record in told
        ]
    records = codec.split(batch, verdicts)
    if isinstance(codec, MsgpackCodec):
        for i, odd in batch.odd.items():
            if odd.reason in ("malformed_record", "not_an_object"):
                wrapped = wrap_record(records[i], codec.plan, verdicts[i])
                records[i] = msgpack.packb([event_time(now()), wrapped])
        return records
    entries = []
    for i, (record, verdict) in enumerate(zip(records, verdicts, strict=True)):
        try:
            entries.append(_json_to_entry(record, codec.plan, now))
        except (*DECODE_ERRORS, ValueError):  # not an object, or nested deeper than an encoder goes
            stop = batch.odd[i].stop if i in batch.odd else batch.ends[i] + 1
            original = batch.body[batch.starts[i] : stop]
            wrapped = wrap_record(original, codec.plan, verdict)
            entries.append(msgpack.packb([event_time(now()), wrapped]))
    return entries


def _json_to_entry(text: bytes, plan: FieldPlan, now: Callable[[], float]) -> bytes:
    record, found = readable_object(text, plan)
    time = found if found is not None else split_seconds(now())
    return bytes(msgpack.packb([_ext_time(*time), _packable(record)]))


def readable_object(text: bytes, plan: FieldPlan) -> tuple[dict[str, Any], Moment | None]:
    """A JSON record and its time, None where no time field has one. Raises ValueError."""
    try:
        record = msgspec.json.decode(text)
    except DECODE_ERRORS as error:
        raise ValueError(str(error)) from None
    if not isinstance(record, dict):
        raise ValueError("not an object")
    return record, next(
        (time for path in plan.time if (time := _time_at(record, path)) is not None), None
    )


def readable_entry(entry: bytes) -> tuple[Moment, dict[str, Any], dict[str, Any]]:
    """A msgpack entry's time, its metadata, and its record with what is no JSON written as text.

    Raises ValueError.
    """
    try:
        time, metadata, raw = _split_entry(entry)
        when = msgpack.unpackb(time, strict_map_key=False)
        about = msgpack.unpackb(
            metadata or b"\x80", strict_map_key=False, unicode_errors="surrogateescape"
        )
        value = _jsonable(
            msgpack.unpackb(raw, strict_map_key=False, unicode_errors="surrogateescape")
        )
    except _UNREADABLE as error:
        raise ValueError(str(error)) from None
    if not isinstance(value, dict):
        raise ValueError("not a map")
    return _moment(when), about if isinstance(about, dict) else {}, value


def event_time(seconds: float) -> msgpack.ExtType:
    """Fluent's EventTime (ext type 0: big-endian uint32 seconds and nanoseconds) of epoch ``seconds``."""
    return _ext_time(*split_seconds(seconds))


def drop_metadata(entry: bytes) -> bytes:
    """``[[time, metadata], record]`` as ``[time, record]``, for receivers that know only the older shape."""
    if entry[:2] != b"\x92\x92":
        return entry
    time_end = packed.value_end(entry, 2)
    metadata_end = packed.value_end(entry, time_end)
    return b"\x92" + entry[2:time_end] + entry[metadata_end:]


def _split_entry(entry: bytes) -> tuple[bytes, bytes | None, bytes]:
    """An entry as the raw bytes of (time, metadata, record)."""
    head, record = _RAW_PAIR.decode(entry)
    time = bytes(memoryview(head))
    metadata = None
    if time[:1] == b"\x92":
        inner, meta = _RAW_PAIR.decode(time)
        time, metadata = bytes(memoryview(inner)), bytes(memoryview(meta))
    return time, metadata, bytes(memoryview(record))


_RAW_PAIR = msgspec.msgpack.Decoder(tuple[msgspec.Raw, msgspec.Raw])


def _entry_to_json(entry: bytes, plan: FieldPlan, verdict: Verdict) -> bytes:
    try:
        time, _, value = readable_entry(entry)
        return _value_to_json(time, value, plan)
    except (ValueError, orjson.JSONEncodeError):  # the latter: nested deeper than the encoder goes
        return orjson.dumps(wrap_record(entry, plan, verdict))


def _value_to_json(time: Moment | None, value: dict[str, Any], plan: FieldPlan) -> bytes:
    """A record as JSON text, its time in the first time field where it has one and the record does not."""
    text = orjson.dumps(value)
    name = plan.time[0][0] if plan.time else None
    if time is None or name is None or name in value:
        return text
    member = b'{"%b":%d.%09d' % (name.encode(), *time)
    return member + (b"," if value else b"") + text[1:]


def _told(flat: Flat, plan: FieldPlan, verdict: Verdict) -> tuple[Moment | None, dict[str, Any]]:
    """An OTLP record's time and the record as JSON can say it; one that cannot be read as text."""
    time = divmod(flat.nanos, 10**9) if 0 < flat.nanos < 2**32 * 10**9 else None
    try:
        if flat.record is not None:
            return time, _jsonable(flat.record)
    except ValueError:  # lone surrogates
        pass
    return time, wrap_record(flat.original, plan, verdict)


def _moment(when: object) -> Moment:
    """An entry's time; the epoch where it is none that EventTime can say (infinite, negative, not a number)."""
    if isinstance(when, msgpack.ExtType) and when.code == 0 and len(when.data) == 8:
        seconds, nanos = struct.unpack(">II", when.data)
        return seconds, nanos
    return split_seconds(when) if isinstance(when, int | float) and 0 <= when < 2**32 else (0, 0)


def wrap_record(data: bytes, plan: FieldPlan, verdict: Verdict) -> dict[str, object]:
    """A plain record that carries ``data``, whatever it is, as text under the first message field.

    Beside it stand the verdict's fields and, where the bytes are not UTF-8, the bytes as base64.
    """
    text = data.decode("utf-8", "replace")
    record: dict[str, object] = {plan.message[0][0]: text}
    if text.encode() != data:
        record[RAW_FIELD] = base64.b64encode(data).decode()
    return record | dict(plan.values(verdict))


def _packable(value: Any) -> Any:
    """``value`` with integers that msgpack cannot hold written as strings."""
    if isinstance(value, dict):
        return {key: _packable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_packable(item) for item in value]
    return str(value) if isinstance(value, int) and value not in _INT64 else value


def _jsonable(value: Any) -> Any:
    """``value`` with what JSON lacks written as text: bytes, extension types, other keys, NaN."""
    if isinstance(value, dict):
        return {
            key if isinstance(key, str) else str(_jsonable(key)): _jsonable(v)
            for key, v in value.items()
        }
    if isinstance(value, list | tuple) and not isinstance(value, msgpack.ExtType):
        return [_jsonable(item) for item in value]
    if isinstance(value, str):
        return value if value.isascii() else _plain_text(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, bytes):
        return _plain_text(value)
    if isinstance(value, msgpack.ExtType):
        return {"ext": value.code, "base64": base64.b64encode(value.data).decode()}
    if isinstance(value, msgpack.Timestamp):
        return value.to_datetime().isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _plain_text(data: bytes) -> str:
    """Bytes as text; what is not UTF-8 is shown as an escape, so that it can be told from U+FFFD."""
    return data.decode("utf-8", "backslashreplace")


def _time_at(record: dict[str, Any], path: Sequence[str]) -> Moment | None:
    """The moment in ``record`` at ``path`` as (epoch seconds, nanoseconds): a number or ISO 8601 text."""
    value: Any = record
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 10**20:
        # Shippers write seconds, milliseconds, microseconds or nanoseconds; today these are 10, 13, 16, 19 digits.
        scale = next(
            (scale for scale in (1, 10**3, 10**6, 10**9) if abs(value) < 10**11 * scale), 10**9
        )
        seconds, rest = divmod(value, scale)
        nanos = (
            round(rest * 10**6 / scale) * 1000
            if isinstance(value, float)
            else rest * (10**9 // scale)
        )
        return (int(seconds), int(nanos)) if 0 <= seconds < 2**32 and nanos < 10**9 else None
    return _iso_time(value) if isinstance(value, str) else None


def _iso_time(text: str) -> Moment | None:
    match = _ISO.match(text)
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    try:
        moment = datetime.datetime.fromisoformat(f"{day}T{clock}{zone or 'Z'}")
    except ValueError:
        return None
    seconds = int(moment.timestamp())
    return (seconds, int((fraction or "0").ljust(9, "0"))) if 0 <= seconds < 2**32 else None


def split_seconds(seconds: float) -> Moment:
    """Epoch ``seconds`` as a `Moment`."""
    whole = int(seconds)
    return whole, int((seconds - whole) * 1e9)


def _ext_time(seconds: int, nanos: int) -> msgpack.ExtType:
    return msgpack.ExtType(0, struct.pack(">II", seconds & 0xFFFFFFFF, nanos))
