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

import hashlib
import hmac
import secrets
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import msgpack
import msgspec

from sidecar.errors import MalformedError
from sidecar.wire import packed

_ACK = b"\xa3ack"


class Message(msgspec.Struct):
    """One message. ``chunk`` is the acknowledgement asked for, as msgpack bytes, to be echoed as it came."""

    tag: str
    entries: bytes
    chunk: bytes | None = None
    encodings: Sequence[str] = ()

    @property
    def ack(self) -> bytes:
        """The answer that acknowledges this message."""
        assert self.chunk is not None
        return b"\x81" + _ACK + self.chunk


class FrameReader:
    """Finds whole messages in a stream that arrives in pieces.

    What has been walked of a message is remembered entry by entry: one of thousands of entries is not
    walked again from its start for each piece that arrives.
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
            MalformedError: ``malformed_frame``, ``unsupported_signal``, or ``too_large`` when a message
                exceeds the limit.
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
            if not 0x90 <= self._buffer[0] <= 0x9F:
                yield from self._value()  # a heartbeat or other trifle
                if self._buffer[0] != 0xC0:
                    raise MalformedError("malformed_frame", "a message is an array")
                self._drop()
                continue
            parts = yield from self._array_header()
            marks = [self._at]
            count = None
            for part in range(parts):
                yield from self._until(self._at + 1)
                if part == 1 and packed.is_array(self._buffer[self._at]):
                    count = yield from self._array_header()
                    marks[1] = self._at
                    for _ in range(count):
                        yield from self._value()
                else:
                    yield from self._value()
                marks.append(self._at)
            yield _message(bytes(self._buffer[: self._at]), marks, is_list=count is not None)
            self._drop()

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
                # Nested deeper than the library goes: our own reader finds the end.
                while (end := packed.value_end(bytes(self._buffer), start)) < 0:
                    yield None
                self._unpacker = msgpack.Unpacker(max_buffer_size=0)
                self._unpacker.feed(self._buffer[end:])
                self._shift = end
                return
            except (ValueError, msgpack.UnpackException) as error:
                raise MalformedError("malformed_frame", type(error).__name__) from None
            else:
                return

    def _drop(self) -> None:
        """Forget what was passed."""
        at = self._at
        del self._buffer[:at]
        self._shift -= at


def _message(data: bytes, marks: Sequence[int], *, is_list: bool) -> Message:
    """The message in ``data``; ``marks`` are the offsets at which its parts begin, and its end."""
    parts = len(marks) - 1
    tag = packed.text_at(data, marks[0]) if parts else None
    if tag is None or parts < 2:
        raise MalformedError("malformed_frame", "a message has a tag and entries")
    body, encodings = packed.payload_at(data, marks[1]), ()
    options_at = marks[2] if parts > 2 else None
    if is_list:
        entries = data[marks[1] : marks[2]]
    elif body is not None:
        entries = body
    elif parts > 2:
        options_at = marks[3] if parts > 3 else None
        entries = b"\x92" + data[marks[1] : marks[3]]
    else:
        raise MalformedError("malformed_frame", "neither entries nor time and record")
    chunk = None
    for name, _, value_at, end in packed.members(data, options_at) if options_at is not None else ():
        if name == "chunk":
            chunk = data[value_at:end]
        elif name == "compressed":
            encodings = _encodings(packed.text_at(data, value_at))
        elif name == "metadata" and body is None and not is_list:
            entries = b"\x92\x92" + data[marks[1] : marks[2]] + data[value_at:end] + data[marks[2] : marks[3]]
        elif name == "fluent_signal" and data[value_at] != 0:
            raise MalformedError("unsupported_signal", "metrics and traces are not labelled here")
    return Message(tag, entries, chunk, encodings)


def _encodings(name: str | None) -> tuple[str, ...]:
    if name in (None, "", "text"):
        return ()
    if name not in ("gzip", "zstd"):
        raise MalformedError("unsupported_encoding", "compressed is gzip or zstd")
    return (name,)


# -- what a client sends ------------------------------------------------------------------------------


def pack_message(tag: str, entries: bytes, count: int, encoding: str) -> tuple[bytes, bytes]:
    """A PackedForward message that asks for an acknowledgement: (message, the chunk id it must name).

    ``entries`` are compressed already when ``encoding`` is not ``none``.
    """
    chunk = msgpack.packb(secrets.token_urlsafe(16))
    options = b"\xa5chunk" + chunk + b"\xa4size" + msgpack.packb(count)
    head = b"\x82"
    if encoding != "none":
        head, options = b"\x83", options + b"\xaacompressed" + msgpack.packb(encoding)
    return b"\x93" + msgpack.packb(tag) + msgpack.packb(entries) + head + options, chunk


def is_ack(answer: bytes, chunk: bytes) -> bool:
    """Whether ``answer``, one msgpack value, acknowledges ``chunk`` (str or bin, as long as the text fits)."""
    wanted = packed.payload_at(chunk, 0)
    return any(name == "ack" and packed.payload_at(answer, at) == wanted for name, _, at, _ in packed.members(answer, 0))


# -- the shared-key handshake: HELO, PING, PONG -------------------------------------------------------


def helo(nonce: bytes) -> bytes:
    """The server's greeting."""
    return bytes(msgpack.packb(["HELO", {"nonce": nonce, "auth": b"", "keepalive": True}]))


def ping(greeting: bytes, hostname: str, shared_key: bytes) -> tuple[bytes, bytes]:
    """The client's answer to a greeting, and the PONG digest's salt + nonce to check with `is_pong`.

    Raises:
        ValueError: the greeting is none.
    """
    kind, options = _strings(greeting, 2)
    if kind != b"HELO" or not isinstance(options, dict) or not isinstance(options.get(b"nonce"), bytes):
        raise ValueError("no greeting")
    nonce: bytes = options[b"nonce"]
    # Fluent Bit reads the salt as a C string: hexadecimal keeps zero bytes out of it.
    salt = secrets.token_hex(8).encode()
    digest = _digest(salt, hostname.encode(), nonce, shared_key)
    password = b""
    if auth := options.get(b"auth"):
        password = _digest(auth if isinstance(auth, bytes) else b"", b"", b"", b"")
    return msgpack.packb(["PING", hostname, salt.decode(), digest.decode(), "", password.decode()]), salt + b"\0" + nonce


def pong(answer: bytes, nonce: bytes, hostname: str, shared_key: bytes) -> tuple[bytes, bool]:
    """The server's answer to a PING, and whether the client knows the key.

    Raises:
        ValueError: the PING is none.
    """
    kind, client, salt, given, *_ = _strings(answer, 6)
    if kind != b"PING" or not all(isinstance(part, bytes) for part in (client, salt, given)):
        raise ValueError("no PING")
    is_known = hmac.compare_digest(_digest(salt, client, nonce, shared_key), given)
    reason = "" if is_known else "shared key mismatch"
    digest = _digest(salt, hostname.encode(), nonce, shared_key).decode() if is_known else ""
    return msgpack.packb(["PONG", is_known, reason, hostname, digest]), is_known


def is_pong(answer: bytes, salt_and_nonce: bytes, shared_key: bytes) -> bool:
    """Whether the server accepts us and knows the key itself."""
    kind, is_accepted, _, hostname, digest = _strings(answer, 5)
    salt, _, nonce = salt_and_nonce.partition(b"\0")
    if kind != b"PONG" or is_accepted is not True or not isinstance(digest, bytes):
        return False
    return hmac.compare_digest(_digest(salt, hostname, nonce, shared_key), digest)


def _digest(salt: bytes, hostname: bytes, nonce: bytes, shared_key: bytes) -> bytes:
    return hashlib.sha512(salt + hostname + nonce + shared_key).hexdigest().encode()


def _strings(data: bytes, size: int) -> list[Any]:
    """A handshake message with its strings as bytes, for a nonce need not be text."""
    try:
        parts = msgpack.unpackb(data, raw=True, strict_map_key=False)
    except (ValueError, msgpack.UnpackException) as error:
        raise ValueError(str(error)) from None
    if not isinstance(parts, list) or len(parts) != size:
        raise ValueError("not a handshake message")
    return parts
