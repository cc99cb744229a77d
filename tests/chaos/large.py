"""Records of 60 MB of every make: each is asked only whether it is well-formed."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgpack

from waybill.wire.otlp.protobuf import pack_field

__all__ = ["SIZE", "large_events", "large_records"]

SIZE = 60 << 20
#: Of what a JSON record may be full.
_JSON = {
    "numbers": b",1",
    "empty objects": b",{}",
    "empty arrays": b",[]",
    "empty strings": b',""',
    "escapes": rb',"\n"',
    "members within": b',{"a":[{"b":[1,2]},3]}',
    "towers": b"," + b"[" * 500 + b"]" * 500,
    "blanks": b",1" + b" " * (1 << 20),
    "strings": b',"' + b"x" * (1 << 19) + b'"',
}
#: And a msgpack one.
_MSGPACK = {
    "nils": b"\xc0",
    "empty maps": b"\x80",
    "arrays within": b"\x92\x91\xc0\x80",
    "strings": b"\xa1x",
    "towers": b"\x91" * 500 + b"\xc0",
}


def large_records() -> Iterator[tuple[str, str, bytes]]:
    """Name, content type and body."""
    for name, part in _JSON.items():
        text = b'{"log":"a","b":[0%b]}' % (part * (SIZE // len(part)))
        yield f"JSON, {name}", "application/json", text
        yield f"JSON array, {name}", "application/json", b"[%b]" % text
    for name, text in {
        "one key": b'{"%b":1}' % (b"k" * SIZE),
        "one number": b'{"log":%b}' % (b"9" * SIZE),
        "a string of escapes": b'{"log":"%b"}' % (rb"\n" * (SIZE // 2)),
    }.items():
        yield f"JSON, {name}", "application/json", text
    for name, event in large_events().items():
        yield f"msgpack, {name}", "application/msgpack", event
    value = pack_field(1, pack_field(1, b"x"))
    for name, part in {"strings": value, "nothing": pack_field(1, b"")}.items():
        body = pack_field(5, pack_field(5, part * (SIZE // len(part))))
        request = pack_field(1, pack_field(2, pack_field(2, body)))
        yield f"OTLP, {name}", "application/x-protobuf", request
    otlp = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"arrayValue":{"values":[{}%b]}}}]}]}]}'
    yield "OTLP JSON, empty objects", "application/otlp+json", otlp % (b",{}" * (SIZE // 3))


def large_events() -> dict[str, bytes]:
    """Events of msgpack, by what is in them."""
    found = {}
    for name, part in _MSGPACK.items():
        count = SIZE // len(part)
        values = b"\xdd" + struct.pack(">I", count) + part * count
        found[name] = b"\x92\x01\x82\xa3log\xa1a\xa1b" + values
    found["one key"] = b"\x92\x01" + msgpack.packb({"k" * SIZE: 1})
    return found
