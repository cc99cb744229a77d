"""What these tests share."""

from __future__ import annotations

from typing import Any

import msgpack

from waybill.wire.forward import FrameReader, Message

LIMIT = 1 << 20
OLD = b"\x92" + msgpack.packb(1_795_210_250) + msgpack.packb({"log": "a", "n": 2**63})
NEW = b"\x92\x92\xd7\x00\x6b\x00\x00\x00\x05\xb6\xe8\x92\x80" + msgpack.packb({"log": "b"})
DEEP = b"\x91" * 3000 + b"\xc0"


def raw_message(*parts: bytes) -> bytes:
    """An array of parts that are msgpack already."""
    return bytes((0x90 | len(parts),)) + b"".join(parts)


def read(stream: bytes, step: int | None = None, limit: int = LIMIT) -> list[Message]:
    reader, step = FrameReader(limit), step or max(len(stream), 1)
    return [
        message
        for at in range(0, len(stream), step)
        for message in filter(None, reader.feed(stream[at : at + step]))
    ]


def pack(value: Any) -> bytes:
    return bytes(msgpack.packb(value))


TAG = pack("kube.pod")
