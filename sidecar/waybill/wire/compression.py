"""Content-Encoding, both ways, to a verified end of stream and under a cap.

We inflate ourselves because an HTTP library that does it for us accepts a truncated gzip body as
complete, and because a shipper that is told 200 forgets the rest. Every function here either
returns the whole body or raises; none returns a part.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import cramjam
from backports import zstd

from waybill.core.errors import MalformedError
from waybill.core.filling import skip_filling
from waybill.core.names import Compression
from waybill.core.reasons import corrupt, truncated
from waybill.wire.snappy import unsnappy

#: Encodings in the order in which we would choose them for an answer.
ENCODINGS: tuple[Compression, ...] = ("zstd", "gzip", "deflate", "snappy")
#: What says that nothing is compressed; a charset stands there by mistake.
_NO_ENCODINGS = frozenset(("", "identity", "none", "utf-8", "utf8"))
_OTHER_NAMES: dict[str, Compression] = {"gz": "gzip", "zst": "zstd", "zlib": "deflate"}
_KNOWN: dict[str, Compression] = {name: name for name in ENCODINGS} | _OTHER_NAMES
#: By what a body or a file begins with; no other encoding begins so.
_MAGIC: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)
#: A block of snappy may begin so, gzip and zstd do not.
_ZLIB_HEADS = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
#: How records of JSON and Fluent Bit's of msgpack begin, and nothing that is compressed.
_PLAIN = re.compile(rb'\[?\{"|\x92\x92?\xd7\x00')
#: Stacked encodings undone at most; real clients send one.
_MAX_STACK = 4
#: 8 MiB of window is what zstd levels up to 19 ask for; more is memory spent on a stranger's word.
_ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 23}
_ADVICE = {
    "too much memory": "use a window of 8 MiB at most, as all levels up to 19 do without --long",
    "Dictionary": "compress without a dictionary",
}
_STEP_BYTES = 1 << 20
#: Members (gzip) or frames (zstd) of one body: each costs 5 µs, however little it holds. One that
#: holds nothing and is repeated byte for byte counts once.
MAX_MEMBERS = 16_384
_REPEATED_BYTES = 64 << 10
_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15


def compression_of(start: bytes) -> Compression | None:
    """How a body that begins with ``start`` is compressed; None where that is not sure."""
    for magic, name in _MAGIC:
        if start.startswith(magic):
            return name
    return None


def encodings_of(header: str | None, start: bytes = b"") -> list[Compression]:
    """``Content-Encoding`` as a list in the order applied.

    A name that nobody knows is passed over where ``start``, how the body begins, shows what it is.

    Raises:
        MalformedError: ``unsupported_encoding``.
    """
    known: list[Compression] = []
    for part in (header or "").lower().split(","):
        name = part.strip()
        if name in _NO_ENCODINGS:
            continue
        # OpenTelemetry's collector names the framing, which the body names, too.
        encoding = _KNOWN.get(name.removeprefix("x-").removesuffix("-framed"))
        if encoding is None:
            if _PLAIN.match(start) or compression_of(start):
                continue
            told = f"Content-Encoding {header!r}: taken are {', '.join(ENCODINGS)}"
            raise MalformedError("unsupported_encoding", told)
        known.append(encoding)
    if len(known) > _MAX_STACK:
        told = f"Content-Encoding {header!r}: compress once, not {len(known)} times"
        raise MalformedError("unsupported_encoding", told)
    return known


def decompress(body: bytes, encodings: Sequence[Compression], limit_bytes: int) -> bytes:
    """Undo ``encodings`` (in the order they were applied), last first.

    Where the first bytes are surely of another encoding, or of records, they are believed and not
    the name; so are those that are still compressed when all names are used up.

    Raises:
        MalformedError: ``too_large`` past ``limit_bytes``, ``truncated_<encoding>`` when the stream
            does not end, ``corrupt_<encoding>`` when it cannot be read or junk follows it.
    """
    for named in reversed(encodings):
        if _PLAIN.match(body):
            return body
        body = _undone(body, _shown(body, named), limit_bytes)
    for _ in range(_MAX_STACK):
        unnamed = compression_of(body)
        if unnamed is None:
            break
        body = _undone(body, unnamed, limit_bytes)
    return body


def _shown(body: bytes, named: Compression) -> Compression:
    if named != "snappy" and body[:2] in _ZLIB_HEADS:
        return "deflate"
    return compression_of(body) or named


def _undone(body: bytes, encoding: Compression, limit_bytes: int) -> bytes:
    if encoding == "snappy":
        return unsnappy(body, limit_bytes)
    if not body:
        raise MalformedError(truncated(encoding), "an empty body is not a stream")
    return _inflate(body, encoding, limit_bytes)


def compress(body: bytes, encoding: str) -> bytes:
    """``body`` in ``encoding``; ``none`` gives it back."""
    match encoding:
        case "none":
            return body
        case "gzip":
            return zlib.compress(body, 1, _GZIP)
        case "deflate":
            return zlib.compress(body, 1, _ZLIB)
        case "zstd":
            return zstd.compress(body, 1)
        case "snappy":
            return bytes(cramjam.snappy.compress_raw(body))
    raise ValueError(f"unknown encoding {encoding!r}")


def accepted_encoding(header: str | None) -> str:
    """The encoding for an answer to ``Accept-Encoding``: our first choice of those named."""
    offers = {}
    for offer in (header or "").lower().split(","):
        name, _, quality = offer.partition(";")
        offers[name.strip()] = quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return next((name for name in ENCODINGS if offers.get(name)), "none")


def _inflate(body: bytes, encoding: Compression, limit_bytes: int) -> bytes:
    """One or more members (RFC 1952 and RFC 8878 both allow several), each to its verified end."""
    out: list[bytes] = []
    room = limit_bytes
    offset = 0
    for _ in range(MAX_MEMBERS):
        first = len(out)
        start = offset
        offset = _inflate_member(body, start, encoding, room, out)
        size = sum(map(len, out[first:]))
        room -= size
        if size == 0 and offset - start <= _REPEATED_BYTES:
            offset = _skip_repeated(body, body[start:offset], offset)
        offset = skip_filling(body, offset)
        if offset >= len(body):
            return b"".join(out)
        if not may_begin(encoding, body[offset : offset + 4]):
            told = f"{behind(encoding)}: {len(body) - offset} bytes from byte {offset} on"
            raise MalformedError(corrupt(encoding), told)
    raise MalformedError("too_large", f"{encoding}: more than {MAX_MEMBERS} members")


def _skip_repeated(body: bytes, member: bytes, offset: int) -> int:
    """The offset behind all that is ``member`` again, which holds nothing, from ``offset`` on."""
    many = member * (_REPEATED_BYTES // max(1, len(member)))
    while member and body.startswith(many, offset):
        offset += len(many)
    while member and body.startswith(member, offset):
        offset += len(member)
    return offset


def may_begin(encoding: Compression, start: bytes) -> bool:
    """Whether a further member may begin with ``start``: its first 4 bytes, or what is left."""
    match encoding:
        case "gzip":
            return b"\x1f\x8b".startswith(start[:2])
        case "zstd":
            is_skippable = start[0] & 0xF0 == 0x50 and b"\x2a\x4d\x18".startswith(start[1:])
            return is_skippable or b"\x28\xb5\x2f\xfd".startswith(start)
        case _:
            return False  # of the others a body has one


def behind(encoding: Compression) -> str:
    """What to say of bytes behind the end that are not a further member."""
    return f"what stands behind its end is not {encoding}"


def _inflate_member(
    body: bytes, offset: int, encoding: Compression, room: int, out: list[bytes]
) -> int:
    """Append what the member at ``offset`` holds, at most ``room`` bytes; gives the offset behind.

    Raises:
        MalformedError: ``too_large``, ``truncated_<encoding>``, ``corrupt_<encoding>``.
    """
    stream = open_stream(encoding, body[offset : offset + 2])
    # Small first steps: a body of 100,000 tiny members must not copy its rest for each of them.
    feed = 4096
    pending = b""
    wants_more = True
    while not stream.eof:
        if wants_more:
            pending = body[offset : offset + feed]
            offset += len(pending)
            feed = min(2 * feed, _STEP_BYTES)
        is_starved = wants_more and not pending
        try:
            data, pending, wants_more = stream.step(pending, min(_STEP_BYTES, room + 1))
        except (zlib.error, zstd.ZstdError) as error:
            raise MalformedError(corrupt(encoding), advised(str(error))) from None
        if is_starved and not data and not stream.eof:
            raise MalformedError(truncated(encoding), "the stream ends before its end mark")
        room -= len(data)
        if room < 0:
            raise MalformedError("too_large", "the body inflates to more than limits.body_bytes")
        out.append(data)
    return offset - len(stream.unused_data)


def advised(words: str) -> str:
    """What a library says is wrong with a stream, and what to do where the sender chose it."""
    for sign, advice in _ADVICE.items():
        if sign in words:
            return f"{words}; {advice}"
    return words


def open_stream(encoding: Compression, head: bytes) -> _ZstdFrame | _ZlibStream:
    """A stream of ``encoding`` that begins with ``head``."""
    return _ZstdFrame() if encoding == "zstd" else _ZlibStream(encoding, head)


class _ZstdFrame:
    """One zstd frame; ``step`` gives (output, input left over, whether it wants more input)."""

    def __init__(self) -> None:
        self._frame = zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)

    @property
    def eof(self) -> bool:
        return self._frame.eof

    @property
    def unused_data(self) -> bytes:
        return self._frame.unused_data

    def step(self, data: bytes, size: int) -> tuple[bytes, bytes, bool]:
        out = self._frame.decompress(data, max_length=size)
        return out, b"", not self._frame.eof and self._frame.needs_input


class _ZlibStream:
    """One gzip member or deflate stream; ``step`` as `_ZstdFrame`'s."""

    def __init__(self, encoding: str, head: bytes) -> None:
        self._stream = zlib.decompressobj(_GZIP if encoding == "gzip" else _deflate_window(head))

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def step(self, data: bytes, size: int) -> tuple[bytes, bytes, bool]:
        out = self._stream.decompress(data, size)
        return out, self._stream.unconsumed_tail, not self._stream.unconsumed_tail


def _deflate_window(head: bytes) -> int:
    """HTTP's ``deflate`` means zlib (RFC 9110), yet some send it raw; RFC 1950 headers tell."""
    is_zlib = len(head) >= 2 and head[0] & 0x0F == 8 and int.from_bytes(head[:2], "big") % 31 == 0
    return _ZLIB if is_zlib else _RAW_DEFLATE
