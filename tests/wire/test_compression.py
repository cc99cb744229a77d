"""Inflation ends at a verified end of stream, under a cap, or not at all."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from waybill.core.errors import MalformedError
from waybill.core.names import Compression
from waybill.wire.compression import (
    ENCODINGS,
    accepted_encoding,
    compress,
    decompress,
    encodings_of,
)

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


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, []),
        ("", []),
        ("identity", []),
        ("GZIP", ["gzip"]),
        ("x-gzip", ["gzip"]),
        ("gzip, zstd", ["gzip", "zstd"]),
    ],
)
def test_content_encodings(header: str | None, expected: list[str]) -> None:
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
def test_the_answers_encoding(header: str | None, expected: str) -> None:
    assert accepted_encoding(header) == expected
