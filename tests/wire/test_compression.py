"""Inflation ends at a verified end of stream, under a cap, or not at all."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from typing import cast

import cramjam
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from waybill.core.errors import MalformedError
from waybill.core.names import Compression
from waybill.wire.compression import (
    ENCODINGS,
    MAX_MEMBERS,
    accepted_encoding,
    compress,
    decompress,
    encodings_of,
)
from waybill.wire.inflate import inflated

LIMIT = 1 << 20
BODY = b"".join(b'{"log":"line %d"}\n' % i for i in range(200)) + random.Random(1).randbytes(500)


@given(st.binary(max_size=5000), st.lists(st.sampled_from(ENCODINGS), max_size=3))
def test_any_stack_of_encodings_is_undone(body: bytes, encodings: list[Compression]) -> None:
    data = body
    for encoding in encodings:
        data = compress(data, encoding)
    assert decompress(data, encodings, LIMIT) == body


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_stream_cut_at_any_byte_is_refused(encoding: Compression) -> None:
    data = compress(BODY, encoding)
    for cut in range(len(data)):
        with pytest.raises(MalformedError) as caught:
            decompress(data[:cut], [encoding], LIMIT)
        assert caught.value.code in (f"truncated_{encoding}", f"corrupt_{encoding}")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_junk_behind_the_stream_is_refused(encoding: Compression) -> None:
    with pytest.raises(MalformedError):
        decompress(compress(BODY, encoding) + b"junk", [encoding], LIMIT)


STREAMS = {name: compress(BODY, name) for name in ("gzip", "deflate", "zstd")} | {
    "snappy": bytes(cramjam.snappy.compress(BODY)),
    "skippable": zstd.compress(BODY) + b"\x50\x2a\x4d\x18\x01\x00\x00\x00x",
}


def _encoding(name: str) -> Compression:
    return next((one for one in ENCODINGS if one == name), "zstd")


@pytest.mark.parametrize("filling", [b"\n", b"\r\n", b" ", b"\t\n", bytes(1), bytes(10_000)])
@pytest.mark.parametrize("name", STREAMS)
def test_what_holds_nothing_behind_a_stream_is_no_fault(name: str, filling: bytes) -> None:
    encoding = _encoding(name)
    if encoding == "snappy" and not filling.strip(b"\0"):
        with pytest.raises(MalformedError):  # a chunk's head may be cut so
            decompress(STREAMS[name] + filling, [encoding], LIMIT)
        return
    assert decompress(STREAMS[name] + filling, [encoding], LIMIT) == BODY
    if encoding != "snappy":
        data = STREAMS[name] + filling
        pieces = (data[i : i + 1] for i in range(len(data)))
        assert b"".join(inflated(pieces, encoding)) == BODY


@pytest.mark.parametrize("name", ["gzip", "zstd", "snappy"])
def test_members_may_have_filling_between_them(name: str) -> None:
    encoding = _encoding(name)
    between = b"\n\0" if encoding != "snappy" else b""
    data = STREAMS[name] + between + STREAMS[name]
    assert decompress(data, [encoding], LIMIT) == BODY * 2
    if encoding != "snappy":
        assert b"".join(inflated([data], encoding)) == BODY * 2


@pytest.mark.parametrize(
    "junk", [b"x", b"\nx", b"{}", b"\x1fx", b"\x28\xb5x", b"\x50\x2ax", b"\0\0x"]
)
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_other_bytes_behind_a_stream_are_named(encoding: Compression, junk: bytes) -> None:
    data = STREAMS[encoding] + junk
    size = len(junk.lstrip(b"\0\n"))
    told = f"behind its end is not {encoding}: {size} bytes from byte {len(data) - size} on"
    with pytest.raises(MalformedError, match=told) as caught:
        decompress(data, [encoding], LIMIT)
    assert caught.value.code == f"corrupt_{encoding}"
    with pytest.raises(MalformedError, match=f"behind its end is not {encoding}") as caught:
        list(inflated([data], encoding))
    assert caught.value.code == f"corrupt_{encoding}"


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_further_member_that_is_cut_is_truncated(encoding: Compression) -> None:
    data = STREAMS[encoding]
    for cut in range(1, len(data)):
        for refused in (
            lambda cut=cut: decompress(data + data[:cut], [encoding], LIMIT),
            lambda cut=cut: list(inflated([data, data[:cut]], encoding)),
        ):
            with pytest.raises(MalformedError) as caught:
                refused()
            assert caught.value.code == f"truncated_{encoding}"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_a_flipped_bit_in_the_checksum_is_refused(encoding: Compression) -> None:
    data = bytearray(zstd.compress(BODY, options={zstd.CompressionParameter.checksum_flag: 1}))
    if encoding != "zstd":
        data = bytearray(compress(BODY, encoding))
    data[-5 if encoding == "gzip" else -1] ^= 1
    with pytest.raises(MalformedError) as caught:
        decompress(bytes(data), [encoding], LIMIT)
    assert caught.value.code == f"corrupt_{encoding}"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_bomb_stops_at_the_cap(encoding: Compression) -> None:
    with pytest.raises(MalformedError) as caught:
        decompress(compress(bytes(64 << 20), encoding), [encoding], LIMIT)
    assert caught.value.code == "too_large"


def test_a_body_of_exactly_the_cap_passes() -> None:
    for encoding in ENCODINGS:
        assert len(decompress(compress(bytes(LIMIT), encoding), [encoding], LIMIT)) == LIMIT


def test_a_snappy_block_that_claims_more_than_it_can_hold_is_refused_before_allocation() -> None:
    claim = b"\xff\xff\xff\xff\x03" + b"\x00"  # 1 GiB by its header
    with pytest.raises(MalformedError) as caught:
        decompress(claim, ["snappy"], 2 << 30)
    assert caught.value.code == "truncated_snappy"


def test_several_members_are_one_body() -> None:
    assert decompress(gzip.compress(b"a") + gzip.compress(b"b"), ["gzip"], LIMIT) == b"ab"
    assert decompress(zstd.compress(b"a") + zstd.compress(b"b"), ["zstd"], LIMIT) == b"ab"
    assert decompress(gzip.compress(b"") * 20_000, ["gzip"], LIMIT) == b""


def test_deflate_is_understood_with_and_without_its_zlib_header() -> None:
    raw = zlib.compressobj(wbits=-15)
    assert decompress(zlib.compress(BODY), ["deflate"], LIMIT) == BODY
    assert decompress(raw.compress(BODY) + raw.flush(), ["deflate"], LIMIT) == BODY


def test_a_zstd_window_larger_than_ours_is_refused() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27}
    frame = zstd.ZstdCompressor(options=options)
    data = frame.compress(random.Random(2).randbytes(1 << 16)) + frame.flush()
    with pytest.raises(MalformedError) as caught:
        decompress(data, ["zstd"], LIMIT)
    assert caught.value.code == "corrupt_zstd"
    assert "8 MiB" in caught.value.detail


def _skippable(size: int) -> bytes:
    return b"\x50\x2a\x4d\x18" + size.to_bytes(4, "little") + bytes(size)


def _named_gzip(size: int) -> bytes:
    """A member that holds nothing but a long name of a file."""
    return gzip.compress(b"")[:3] + b"\x08" + bytes(6) + b"n" * size + b"\0\x03" + bytes(9)


@pytest.mark.parametrize("size", [0, 1000, 60_000, 70_000, 3 << 20])
def test_what_holds_nothing_takes_no_memory_however_large_it_is(size: int) -> None:
    last = b"12"
    for empty, encoding in ((_skippable(size), "zstd"), (_named_gzip(size), "gzip")):
        body = empty * 3 + compress(last, encoding)
        tracemalloc.start()
        try:
            assert decompress(body, [cast("Compression", encoding)], LIMIT) == last
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 8 << 20


def test_a_stream_of_members_that_hold_nothing_ends() -> None:
    frames = b"".join(_skippable(4)[:-4] + i.to_bytes(4, "little") for i in range(MAX_MEMBERS + 1))
    with pytest.raises(MalformedError, match="more than"):
        decompress(frames, ["zstd"], LIMIT)
    with pytest.raises(MalformedError, match="hold nothing"):
        list(inflated([frames], "zstd"))
    many = zstd.compress(b"a") * (MAX_MEMBERS + 1)
    assert b"".join(inflated([many], "zstd")) == b"a" * (MAX_MEMBERS + 1)


def test_a_frame_that_needs_a_dictionary_says_so() -> None:
    samples = [b'{"log":"order %d failed at %d"}' % (i, i * 7) for i in range(2000)]
    frame = zstd.compress(BODY, zstd_dict=zstd.train_dict(samples, 2000))
    with pytest.raises(MalformedError, match="compress without a dictionary"):
        decompress(frame, ["zstd"], LIMIT)


def test_framed_snappy_is_read_to_its_end() -> None:
    framed = bytes(cramjam.snappy.compress(BODY * 20))
    padded = framed[:10] + b"\xfe\x03\x00\x00xxx" + framed[10:] + framed
    assert decompress(framed, ["snappy"], LIMIT) == BODY * 20
    assert decompress(padded, ["snappy"], LIMIT) == BODY * 40
    assert decompress(framed[:10], ["snappy"], LIMIT) == b""
    for cut in (12, 20, len(framed) - 1):
        with pytest.raises(MalformedError, match="within a chunk"):
            decompress(framed[:cut], ["snappy"], LIMIT)
    spoilt = framed[:-1] + bytes((framed[-1] ^ 1,))
    with pytest.raises(MalformedError) as caught:
        decompress(spoilt, ["snappy"], LIMIT)
    assert caught.value.code == "corrupt_snappy"
    with pytest.raises(MalformedError) as caught:
        decompress(bytes(cramjam.snappy.compress(bytes(64 << 20))), ["snappy"], LIMIT)
    assert caught.value.code == "too_large"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("x-snappy-framed", ["snappy"]),
        (None, []),
        ("", []),
        ("identity", []),
        ("none", []),
        ("UTF-8", []),
        ("utf-8, gzip", ["gzip"]),
        ("GZIP", ["gzip"]),
        ("x-gzip", ["gzip"]),
        ("gz, zst, zlib", ["gzip", "zstd", "deflate"]),
        ("gzip, zstd", ["gzip", "zstd"]),
    ],
)
def test_a_content_encoding_is_a_list_of_encodings(header: str | None, expected: list[str]) -> None:
    assert encodings_of(header) == expected


@pytest.mark.parametrize("header", ["br", "gzip, br", "gzip, gzip, gzip, gzip, gzip"])
def test_unknown_encodings_are_refused(header: str) -> None:
    with pytest.raises(MalformedError) as caught:
        encodings_of(header)
    assert caught.value.code == "unsupported_encoding"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, "none"),
        ("gzip", "gzip"),
        ("gzip, zstd", "zstd"),
        ("zstd;q=0, gzip", "gzip"),
        ("br", "none"),
        ("*", "none"),
    ],
)
def test_an_answer_takes_an_encoding_that_the_client_accepts(
    header: str | None, expected: str
) -> None:
    assert accepted_encoding(header) == expected


RECORDS: dict[str, bytes] = {
    "object": b'{"log":"disk full"}\n',
    "array": b'[{"log":"disk full"}]',
    "msgpack": b"\x92\xd7\x00iabc\x00\x00\x00\x00\x81\xa3log\xa1x",
    "msgpack of Fluent Bit 2": b"\x92\x92\xd7\x00iabc\x00\x00\x00\x00\x80\x81\xa3log\xa1x",
}


@pytest.mark.parametrize("named", ENCODINGS)
@pytest.mark.parametrize("body", RECORDS.values(), ids=RECORDS)
def test_records_that_are_named_compressed_by_mistake_are_taken(
    named: Compression, body: bytes
) -> None:
    assert decompress(body, [named], LIMIT) == body
    assert decompress(compress(body, named), [named, named], LIMIT) == body


@pytest.mark.parametrize("named", ENCODINGS)
@pytest.mark.parametrize("name", ["gzip", "zstd", "deflate"])
def test_what_the_first_bytes_show_is_believed_and_not_the_name(
    name: str, named: Compression
) -> None:
    if (name, named) == ("deflate", "snappy"):  # a block of snappy may begin like zlib
        return
    assert decompress(STREAMS[name], [named], LIMIT) == BODY


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_what_is_compressed_once_more_than_named_is_undone(encoding: Compression) -> None:
    twice = compress(compress(BODY, encoding), "gzip")
    assert decompress(twice, ["gzip"], LIMIT) == BODY
    assert decompress(twice, [], LIMIT) == BODY


def test_a_bomb_within_a_stream_stops_at_the_cap() -> None:
    with pytest.raises(MalformedError) as caught:
        decompress(compress(compress(bytes(64 << 20), "gzip"), "gzip"), ["gzip"], LIMIT)
    assert caught.value.code == "too_large"


@pytest.mark.parametrize(
    ("header", "expected"), [("br", []), ("aws-chunked, gzip", ["gzip"]), ("lz4", [])]
)
def test_an_unknown_name_is_passed_over_where_the_body_shows_what_it_is(
    header: str, expected: list[str]
) -> None:
    for start in (*RECORDS.values(), STREAMS["gzip"], STREAMS["zstd"]):
        assert encodings_of(header, start) == expected
    with pytest.raises(MalformedError):
        encodings_of(header, b"\x0b\x02\x80abc\x03")
