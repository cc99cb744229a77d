"""Fluent Forward framing: messages out of a byte stream, and back into one.

Four modes exist (Forward protocol specification v1). All become the same thing here, a stream of
``[time, record]`` entries as `MsgpackCodec` reads it, cut out of the message and never rewritten:

======================  ==========================================
Message                 ``[tag, time, record, options?]``
Forward                 ``[tag, [entry, entry, ...], options?]``
PackedForward           ``[tag, entries as bin or str, options?]``
CompressedPackedForward the same, with ``compressed`` in the options
======================  ==========================================
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import msgpack
import msgspec

from waybill.core.errors import MalformedError
from waybill.core.names import Compression
from waybill.wire.msgpack import scan as packed

_ACK = b"\xa3ack"
_NIL, _NEVER = 0xC0, 0xC1
#: An acknowledgement or a handshake message is short; nothing longer is waited for.
_ANSWER_BYTES = 65_536


class Message(msgspec.Struct):
    """One message. ``chunk`` is the acknowledgement asked for, as msgpack bytes, to be echoed as it came."""

    tag: str
    entries: bytes
    chunk: bytes | None = None
    encodings: Sequence[Compression] = ()

    @property
    def ack(self) -> bytes:
        """The answer that acknowledges this message."""
        assert self.chunk is not None
        return b"\x81" + _ACK + self.chunk


class FrameReader:
    """Finds whole messages in a stream that arrives in pieces.

    What has been walked of a message is remembered, so that nothing is walked again from its start for
    each piece that arrives, be it one big value or one of thousands of entries.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._buffer = bytearray()
        self._unpacker = msgpack.Unpacker(max_buffer_size=0)
        #: Offset in the buffer of the unpacker's own offset 0.
        self._shift = 0
        self._parser = self._parse()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that ``data`` completes.

        Raises:
            MalformedError: ``malformed_frame``, ``unsupported_signal``, ``unsupported_encoding``, or
                ``too_large`` when a message exceeds the limit.
        """
        self._buffer += data
        self._unpacker.feed(data)
        while (message := next(self._parser)) is not None:
            yield message
        if len(self._buffer) > self._limit:
            raise MalformedError("too_large", f"a message of more than {self._limit} bytes")

    def _parse(self) -> Iterator[Message | None]:
        """Gives each whole message, and None whenever more bytes are needed."""
        while True:
            yield from self._until(1)
            if self._buffer[0] == _NIL:  # a heartbeat
                yield from self._value()
            elif packed.is_array(self._buffer[0]):
                yield (yield from self._message())
            else:
                raise MalformedError("malformed_frame", "a message is an array")
            del self._buffer[: self._at]
            self._shift = -int(self._unpacker.tell())

    def _message(self) -> Generator[None, None, Message]:
        parts = yield from self._array_header()
        if not 2 <= parts <= 4:
            raise MalformedError("malformed_frame", f"a message of {parts} parts")
        marks, is_list = [self._at], False
        for part in range(parts):
            yield from self._until(self._at + 1)
            if part == 1 and packed.is_array(self._buffer[self._at]):
                is_list, count = True, (yield from self._array_header())
                if count > self._limit:
                    raise MalformedError("too_large", f"{count} entries")
                marks[1] = self._at
                for _ in range(count):
                    yield from self._value()
            else:
                yield from self._value()
            marks.append(self._at)
        with memoryview(self._buffer) as view:
            data = bytes(view[: self._at])
        return _message(data, marks, is_list=is_list)

    @property
    def _at(self) -> int:
        return self._shift + int(self._unpacker.tell())

    def _until(self, size: int) -> Iterator[None]:
        while len(self._buffer) < size:
            yield None

    def _array_header(self) -> Generator[None, None, int]:
        while True:
            try:
                return int(self._unpacker.read_array_header())
            except msgpack.OutOfData:
                yield None

    def _value(self) -> Iterator[None]:
        """Pass one value."""
        start = self._at
        while True:
            try:
                self._unpacker.skip()
            except msgpack.OutOfData:
                yield None
            except msgpack.StackError:
                yield from self._deep_value(start)
                return
            except (ValueError, msgpack.UnpackException) as error:
                raise MalformedError("malformed_frame", type(error).__name__) from None
            else:
                return

    def _deep_value(self, at: int) -> Iterator[None]:
        """Pass the value at ``at``, nested deeper than the library goes: our own reader finds its end."""
        needed = 1
        while needed:
            yield from self._until(at + 1)
            data, walked = bytes(self._buffer[at:]), 0
            while needed and walked < len(data):
                try:
                    head, payload, nested = packed.header(data, walked)
                except ValueError:  # cut within its head, or never used
                    break
                walked += head + payload
                needed += nested - 1
            at += walked
            if needed and walked < len(data):
                if data[walked] == _NEVER:
                    raise MalformedError("malformed_frame", "FormatError")
                yield None
        yield from self._until(at)
        self._unpacker = msgpack.Unpacker(max_buffer_size=0)
        self._unpacker.feed(self._buffer[at:])
        self._shift = at


def _message(data: bytes, marks: Sequence[int], *, is_list: bool) -> Message:
    """The message in ``data``; ``marks`` are the offsets at which its parts begin, and its end."""
    parts = len(marks) - 1
    tag, body = (
        packed.text_at(data, marks[0]),
        None if is_list else packed.payload_at(data, marks[1]),
    )
    is_single = body is None and not is_list
    if tag is None or (is_single and parts < 3):
        raise MalformedError(
            "malformed_frame", "a message has a tag, and entries or time and record"
        )
    options = _options(data, marks[3 if is_single else 2])
    chunk = options.get("chunk")
    _require_logs(options.get("fluent_signal"))
    message = Message(tag, b"", chunk if chunk != bytes((_NIL,)) else None)
    if body is not None:
        encodings = _encodings(options.get("compressed"))
        message.entries = body
        message.encodings = encodings if body else ()  # nothing, even compressed, is nothing
    elif is_list:
        message.entries = data[marks[1] : marks[2]]
    else:
        time, metadata = data[marks[1] : marks[2]], options.get("metadata", b"")
        if packed.map_header(metadata, 0) is not None:
            time = b"\x92" + time + metadata
        message.entries = b"\x92" + time + data[marks[2] : marks[3]]
    return message


def _options(data: bytes, at: int) -> dict[str | None, bytes]:
    """The options at ``at`` by name, each as it came; none at the end of ``data``."""
    if at == len(data) or data[at] == _NIL:
        return {}
    if packed.map_header(data, at) is None:
        raise MalformedError("malformed_frame", "options are a map")
    return {name: data[value_at:end] for name, _, value_at, end in packed.members(data, at)}


def _require_logs(signal: bytes | None) -> None:
    # An integer of any width: its bytes behind the head, or the head itself.
    if signal is not None and int.from_bytes(signal[1:] or signal, "big"):
        raise MalformedError("unsupported_signal", "metrics and traces are not labelled here")


def _encodings(compressed: bytes | None) -> tuple[Compression, ...]:
    name = packed.text_at(compressed, 0) if compressed is not None else None
    if name in (None, "", "text"):
        return ()
    if name == "gzip":
        return ("gzip",)
    if name == "zstd":
        return ("zstd",)
    raise MalformedError("unsupported_encoding", "compressed is gzip or zstd")


# -- what a client sends ------------------------------------------------------------------------------


def pack_message(tag: str, entries: bytes, count: int, encoding: str) -> tuple[bytes, bytes]:
    """A PackedForward message that asks for an acknowledgement: (message, the chunk id it must name).

    ``entries`` are compressed already when ``encoding`` is not ``none``.
    """
    chunk = msgpack.packb(base64.b64encode(secrets.token_bytes(16)).decode())
    options = b"\xa5chunk" + chunk + b"\xa4size" + msgpack.packb(count)
    head = b"\x82"
    if encoding != "none":
        head, options = b"\x83", options + b"\xaacompressed" + msgpack.packb(encoding)
    return b"\x93" + msgpack.packb(tag) + msgpack.packb(entries) + head + options, chunk


class AnswerReader:
    """Collects the one message that the other side owes us: an acknowledgement, a part of the handshake."""

    def __init__(self) -> None:
        self._unpacker = msgpack.Unpacker(raw=True, max_buffer_size=_ANSWER_BYTES)
        self._data = b""

    def feed(self, data: bytes) -> bytes | None:
        """The whole message, or None while it is incomplete.

        Raises:
            ValueError: it is none, or there is more than one.
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
    """Whether ``answer`` acknowledges ``chunk`` and nothing else (as str or bin, if the text fits)."""
    found = [
        packed.payload_at(answer, at)
        for name, _, at, _ in packed.members(answer, 0)
        if name == "ack"
    ]
    return found == [packed.payload_at(chunk, 0)]


# -- the shared-key handshake: HELO, PING, PONG -------------------------------------------------------


def helo(nonce: bytes) -> bytes:
    """The server's greeting."""
    return bytes(msgpack.packb(["HELO", {"nonce": nonce, "auth": b"", "keepalive": True}]))


def ping(greeting: bytes, hostname: str, shared_key: bytes) -> tuple[bytes, bytes]:
    """The client's answer to a greeting, and what `is_pong` needs to check the server's.

    Raises:
        ValueError: the greeting is none.
    """
    kind, options = _parts(greeting, 2)
    nonce = options.get(b"nonce") if isinstance(options, dict) else None
    if kind != b"HELO" or not isinstance(nonce, bytes):
        raise ValueError("no greeting")
    # Fluent Bit reads the salt as a C string: hexadecimal keeps zero bytes out of it.
    salt = secrets.token_hex(8).encode()
    digest = _digest(salt, hostname.encode(), nonce, shared_key)
    auth, password = options.get(b"auth"), b""
    if auth and isinstance(auth, bytes):  # users are asked for: we are nobody, with no password
        password = _digest(auth)
    message = msgpack.packb(
        ["PING", hostname, salt.decode(), digest.decode(), "", password.decode()]
    )
    return message, salt + b"\0" + nonce


def pong(answer: bytes, nonce: bytes, hostname: str, shared_key: bytes) -> tuple[bytes, bool]:
    """The server's answer to a PING, and whether the client knows the key. An empty key is nobody's.

    Raises:
        ValueError: the PING is none.
    """
    kind, client, salt, given, *_ = _parts(answer, 6)
    if kind != b"PING" or not all(isinstance(part, bytes) for part in (client, salt, given)):
        raise ValueError("no PING")
    is_known = hmac.compare_digest(_digest(salt, client, nonce, shared_key), given) and bool(
        shared_key
    )
    reason = "" if is_known else "shared key mismatch"
    digest = _digest(salt, hostname.encode(), nonce, shared_key).decode() if is_known else ""
    return msgpack.packb(["PONG", is_known, reason, hostname, digest]), is_known


def is_pong(answer: bytes, salt_and_nonce: bytes, shared_key: bytes) -> bool:
    """Whether the server accepts us and knows the key itself.

    Raises:
        ValueError: the PONG is none.
    """
    kind, is_accepted, _, hostname, digest = _parts(answer, 5)
    if kind != b"PONG" or not (isinstance(hostname, bytes) and isinstance(digest, bytes)):
        raise ValueError("no PONG")
    salt, _, nonce = salt_and_nonce.partition(b"\0")
    is_known = hmac.compare_digest(_digest(salt, hostname, nonce, shared_key), digest)
    return is_known and is_accepted is True


def _digest(*parts: bytes) -> bytes:
    return hashlib.sha512(b"".join(parts)).hexdigest().encode()


def _parts(data: bytes, size: int) -> list[Any]:
    """A handshake message with its strings as bytes, for a nonce need not be text."""
    try:
        parts = msgpack.unpackb(data, raw=True, strict_map_key=False)
    except (
        ValueError,
        TypeError,
        msgpack.UnpackException,
    ) as error:  # TypeError: a map as a map's key
        raise ValueError(str(error)) from None
    if not isinstance(parts, list) or len(parts) != size:
        raise ValueError("not a handshake message")
    return parts
