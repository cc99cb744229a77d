"""What a Forward client sends, and the answers that it reads."""

from __future__ import annotations

import base64
import secrets

import msgpack

from waybill.wire.msgpack import scan

#: An acknowledgement or a handshake message is short; nothing longer is waited for.
_ANSWER_BYTES = 65_536


def pack_message(tag: str, entries: bytes, count: int, encoding: str) -> tuple[bytes, bytes]:
    """A PackedForward message that asks for an acknowledgement, and the chunk id it must name.

    ``entries`` are compressed already when ``encoding`` is not ``none``.
    """
    chunk = msgpack.packb(base64.b64encode(secrets.token_bytes(16)).decode())
    options = b"\xa5chunk" + chunk + b"\xa4size" + msgpack.packb(count)
    head = b"\x82"
    if encoding != "none":
        head = b"\x83"
        options += b"\xaacompressed" + msgpack.packb(encoding)
    return b"\x93" + msgpack.packb(tag) + msgpack.packb(entries) + head + options, chunk


class AnswerReader:
    """Collects the one message that the other side owes us."""

    def __init__(self) -> None:
        self._unpacker = msgpack.Unpacker(raw=True, max_buffer_size=_ANSWER_BYTES)
        self._data = b""

    def feed(self, data: bytes) -> bytes | None:
        """The whole message, or None while it is incomplete.

        Raises:
            ValueError: it is not an answer, or more than one.
        """
        self._data += data
        try:
            self._unpacker.feed(data)
            self._unpacker.skip()
        except msgpack.OutOfData:
            return None
        except msgpack.UnpackException as error:
            raise ValueError(type(error).__name__) from None
        if self._unpacker.tell() != len(self._data):
            raise ValueError("more than one message")
        return self._data


def is_ack(answer: bytes, chunk: bytes) -> bool:
    """Whether ``answer`` acknowledges ``chunk`` and nothing else; str or bin, if the text fits."""
    found = [
        scan.payload_at(answer, at) for name, _, at, _ in scan.members(answer, 0) if name == "ack"
    ]
    return found == [scan.payload_at(chunk, 0)]
