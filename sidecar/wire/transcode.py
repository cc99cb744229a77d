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

from sidecar.records import Batch, Verdict
from sidecar.wire import packed
from sidecar.wire.fields import FieldPlan
from sidecar.wire.json import DECODE_ERRORS, JsonCodec
from sidecar.wire.msgpack import MsgpackCodec

Codec = JsonCodec | MsgpackCodec
#: Where the bytes go that are no text, beside their readable form.
RAW_FIELD = "raw_base64"
_INT64 = range(-(2**63), 2**64)
#: What reading msgpack can raise: a map as a map's key is a TypeError, a time past year 9999 an OverflowError.
_UNREADABLE = (*DECODE_ERRORS, ValueError, TypeError, OverflowError, msgpack.UnpackException)
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?\s*(Z|[+-]\d\d:?\d\d)?$")


def json_records(codec: Codec, batch: Batch, verdicts: Sequence[Verdict]) -> list[bytes]:
    """Each labelled record as the text of one JSON object that a strict parser takes."""
    records = codec.split(batch, verdicts)
    if isinstance(codec, MsgpackCodec):
        return [_entry_to_json(record, codec.plan, verdict) for record, verdict in zip(records, verdicts, strict=True)]
    for i, odd in batch.odd.items():
        if not odd.is_strict or odd.reason == "not_an_object":
            original = batch.body[batch.starts[i] : odd.stop]
            records[i] = orjson.dumps(wrap_record(original, codec.plan, verdicts[i]))
    return records


def msgpack_entries(codec: Codec, batch: Batch, verdicts: Sequence[Verdict], now: Callable[[], float]) -> list[bytes]:
    """Each labelled record as one ``[time, record]`` or ``[[time, metadata], record]`` entry.

    A JSON record's time is read from the configured time fields, else it is ``now()`` (epoch seconds).
    """
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
    record = msgspec.json.decode(text)
    if not isinstance(record, dict):
        raise ValueError("not an object")
    found = next((time for path in plan.time if (time := _time_at(record, path)) is not None), None)
    time = found if found is not None else _split_seconds(now())
    return bytes(msgpack.packb([_ext_time(*time), _packable(record)]))


def event_time(seconds: float) -> msgpack.ExtType:
    """Fluent's EventTime (ext type 0: big-endian uint32 seconds and nanoseconds) of epoch ``seconds``."""
    return _ext_time(*_split_seconds(seconds))


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
        time, _, raw = _split_entry(entry)
        when = msgpack.unpackb(time, strict_map_key=False)
        value = _jsonable(msgpack.unpackb(raw, strict_map_key=False, unicode_errors="surrogateescape"))
    except _UNREADABLE:
        return orjson.dumps(wrap_record(entry, plan, verdict))
    if not isinstance(value, dict):
        return orjson.dumps(wrap_record(entry, plan, verdict))
    try:
        text = orjson.dumps(value)
    except orjson.JSONEncodeError:  # nested deeper than the encoder goes
        return orjson.dumps(wrap_record(entry, plan, verdict))
    seconds, nanos = _moment(when)
    name = plan.time[0][0] if plan.time else None
    if name is None or name in value:
        return text
    member = b'{"%b":%d.%09d' % (name.encode(), seconds, nanos)
    return member + (b"," if value else b"") + text[1:]


def _moment(when: object) -> tuple[int, int]:
    if isinstance(when, msgpack.ExtType) and when.code == 0 and len(when.data) == 8:
        seconds, nanos = struct.unpack(">II", when.data)
        return seconds, nanos
    # Beyond this are negative times, NaN and infinity, for which JSON has no such spelling.
    if isinstance(when, int | float) and 0 <= when < 2**64:
        return _split_seconds(float(when))
    return 0, 0


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
        return {key if isinstance(key, str) else str(_jsonable(key)): _jsonable(v) for key, v in value.items()}
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


def _time_at(record: dict[str, Any], path: Sequence[str]) -> tuple[int, int] | None:
    """The moment in ``record`` at ``path`` as (epoch seconds, nanoseconds): a number or ISO 8601 text."""
    value: Any = record
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 10**20:
        # Shippers write seconds, milliseconds, microseconds or nanoseconds; today these are 10, 13, 16, 19 digits.
        scale = next((scale for scale in (1, 10**3, 10**6, 10**9) if abs(value) < 10**11 * scale), 10**9)
        seconds, rest = divmod(value, scale)
        nanos = round(rest * 10**6 / scale) * 1000 if isinstance(value, float) else rest * (10**9 // scale)
        return (int(seconds), int(nanos)) if 0 <= seconds < 2**32 and nanos < 10**9 else None
    return _iso_time(value) if isinstance(value, str) else None


def _iso_time(text: str) -> tuple[int, int] | None:
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


def _split_seconds(seconds: float) -> tuple[int, int]:
    whole = int(seconds)
    return whole, int((seconds - whole) * 1e9)


def _ext_time(seconds: int, nanos: int) -> msgpack.ExtType:
    return msgpack.ExtType(0, struct.pack(">II", seconds & 0xFFFFFFFF, nanos))
