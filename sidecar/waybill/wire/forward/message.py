"""What a Forward message holds: its entries, cut out of it and never rewritten.

Four modes exist. All become the same thing here, a stream of ``[time, record]`` entries as
`MsgpackCodec` reads it:

======================  ==========================================
Message                 ``[tag, time, record, options?]``
Forward                 ``[tag, [entry, entry, ...], options?]``
PackedForward           ``[tag, entries as bin or str, options?]``
CompressedPackedForward the same, with ``compressed`` in the options
======================  ==========================================
"""

from __future__ import annotations

import io
from collections.abc import Generator, Sequence

import msgspec

from waybill.core.errors import MalformedError
from waybill.core.names import Compression
from waybill.wire.msgpack import scan

_ACK = b"\xa3ack"
_NIL = b"\xc0"
#: Offsets of a message in the Message mode: tag, time, record, and the end of these.
_SINGLE_MARKS = 4
#: Copied between two turns of the event loop: about 2 ms.
_TURN_BYTES = 4 << 20
#: Of a compression that nobody knows so much is told.
_NAME_CHARS = 60
_SHAPE = "a message has a tag, and entries or time and record"
#: Options by name, each as it came.
_Options = dict[str | None, bytes]


class Message(msgspec.Struct):
    """One message.

    ``chunk`` is the acknowledgement asked for, as msgpack bytes, to be echoed as it came.
    """

    tag: str
    entries: bytes
    chunk: bytes | None = None
    encodings: Sequence[Compression] = ()

    @property
    def ack(self) -> bytes:
        """The answer that acknowledges this message."""
        assert self.chunk is not None
        return b"\x81" + _ACK + self.chunk


def parse_message(
    data: bytes, marks: Sequence[int], *, is_list: bool
) -> Generator[None, None, Message]:
    """The message in ``data``; ``marks`` are the offsets at which its parts begin, and its end.

    Its entries are copied once, however large they are, and no part is copied beside them. It gives
    None in between, so that others have a turn: to copy 60 MB takes 30 ms.

    Raises:
        MalformedError: ``malformed_frame``, ``unsupported_signal`` or ``unsupported_encoding``.
    """
    tag = scan.text_at(data, marks[0])
    if tag is None:
        raise MalformedError("malformed_frame", _SHAPE)
    if is_list:
        options = _options(data, marks[2], marks[-1])
        return _new(tag, (yield from _joined(data, b"", *marks[1:3])), options)
    payload = scan.payload_span(data, marks[1])
    if payload is not None:
        options = _options(data, marks[2], marks[-1])
        message = _new(tag, (yield from _joined(data, b"", *payload)), options)
        encodings = _encodings(options.get("compressed"))
        if message.entries:  # nothing, even compressed, is nothing
            message.encodings = encodings
        return message
    if len(marks) < _SINGLE_MARKS:
        raise MalformedError("malformed_frame", _SHAPE)
    options = _options(data, marks[3], marks[-1])
    head = _single_head(data, marks, options)
    return _new(tag, (yield from _joined(data, head, marks[2], marks[3])), options)


def _new(tag: str, entries: bytes, options: _Options) -> Message:
    chunk = options.get("chunk")
    if chunk == _NIL:
        chunk = None
    _require_logs(options.get("fluent_signal"))
    return Message(tag, entries, chunk)


def _copied(data: bytes, start: int, end: int) -> bytes:
    with memoryview(data) as view:
        return bytes(view[start:end])


def _joined(data: bytes, head: bytes, start: int, end: int) -> Generator[None, None, bytes]:
    """``head`` and what is between ``start`` and ``end``, copied in turns."""
    whole = io.BytesIO()  # grows in place, and gives what it holds without a copy
    whole.write(head)
    for at in range(start, end, _TURN_BYTES):
        if at > start:
            yield
        with memoryview(data) as view, view[at : min(end, at + _TURN_BYTES)] as piece:
            whole.write(piece)
    return whole.getvalue()


def _single_head(data: bytes, marks: Sequence[int], options: _Options) -> bytes:
    """What stands before the one record of the Message mode, in the shape of all other entries."""
    time = _copied(data, marks[1], marks[2])
    metadata = options.get("metadata", b"")
    if scan.map_header(metadata, 0) is not None:
        time = b"\x92" + time + metadata
    return b"\x92" + time


def _options(data: bytes, at: int, end: int) -> _Options:
    """The options between ``at`` and ``end`` by name, each as it came."""
    if at == end or data[at] == _NIL[0]:
        return {}
    if scan.map_header(data, at) is None:
        raise MalformedError("malformed_frame", "options are a map")
    return {
        name: _copied(data, value_at, stop) for name, _, value_at, stop in scan.members(data, at)
    }


def _require_logs(signal: bytes | None) -> None:
    # An integer of any width: its bytes behind the head, or the head itself.
    if signal is not None and int.from_bytes(signal[1:] or signal, "big"):
        raise MalformedError("unsupported_signal", "metrics and traces are not labelled here")


def _encodings(compressed: bytes | None) -> tuple[Compression, ...]:
    name = (scan.text_at(compressed or _NIL, 0) or "").lower()
    if name in ("", "text", "none"):
        return ()
    if name == "gzip":
        return ("gzip",)
    if name == "zstd":
        return ("zstd",)
    told = f"compressed is {name[:_NAME_CHARS]!r}: expected gzip, zstd or text"
    raise MalformedError("unsupported_encoding", told)
