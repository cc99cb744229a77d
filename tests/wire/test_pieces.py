"""A text that is judged in pieces is JSON where it is as a whole."""

from __future__ import annotations

import json
import random

import msgspec
import pytest

from waybill.wire.json import pieces
from waybill.wire.json.pieces import check_in_pieces

CHECK = msgspec.json.Decoder(msgspec.Raw).decode
#: What stands in texts, and what does not belong where it is put.
STRINGS = ("", "a", ",", "[", "]}", '"', "\\", '\\"', "é,", "x" * 40)
NOISE = (b",", b"[", b"]", b"{", b"}", b'"', b"\\", b":", b" ", b"1", b'"a":', b",,", b"[]", b"")


def _value(rng: random.Random, depth: int) -> object:
    match rng.randrange(5 if depth else 3):
        case 0:
            return rng.choice((None, True, 0, -1.5e10, 17))
        case 1 | 2:
            return rng.choice(STRINGS)
        case 3:
            return [_value(rng, depth - 1) for _ in range(rng.randrange(6))]
        case _:
            many = range(rng.randrange(6))
            return {rng.choice(STRINGS): _value(rng, depth - 1) for _ in many}


def _is_whole(text: bytes) -> bool:
    try:
        CHECK(text)
    except msgspec.DecodeError:
        return False
    return True


def _is_in_pieces(text: bytes) -> bool:
    try:
        check_in_pieces(memoryview(text), CHECK)
    except (ValueError, msgspec.DecodeError):
        return False
    return True


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 30])
def test_pieces_are_judged_as_the_whole(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "_PIECE_BYTES", size)
    rng = random.Random(size)
    seen = {True: 0, False: 0}
    for _ in range(1500):
        indent = rng.choice((None, 1))
        text = json.dumps(_value(rng, 5), ensure_ascii=False, indent=indent).encode()
        assert _is_in_pieces(text), text
        at = rng.randrange(len(text) + 1)
        broken = text[:at] + rng.choice(NOISE) + text[at + rng.randrange(3) :]
        is_valid = _is_whole(broken)
        assert _is_in_pieces(broken) is is_valid, broken
        seen[is_valid] += 1
    assert min(seen.values()) > 100


@pytest.mark.parametrize("text", [b"1,2", b"[1],2", b"[1,]", b"[1,,2]", b'{"a":1,}', b"[1]]", b""])
def test_what_only_the_place_of_a_cut_shows(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "_PIECE_BYTES", 1)
    assert not _is_in_pieces(text)
