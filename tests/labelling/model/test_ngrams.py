"""Hashed n-grams: bounded, of the text alone, and the same on every machine."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.labelling.model.ngrams import Ngrams, ngram_columns, ngram_features

SMALL = Ngrams(low=2, high=3, buckets=64, weight=1.5)


def hashed_slowly(gram: bytes, buckets: int) -> int:
    """FNV-1a and the avalanche, one byte at a time."""
    value = 0x811C9DC5
    for byte in gram:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    value = ((value ^ (value >> 16)) * 0x21F0AAAD) & 0xFFFFFFFF
    return (value ^ (value >> 15)) % buckets


@given(st.text(st.characters(exclude_categories=()), max_size=80))
def test_columns_are_those_of_the_slow_way(text: str) -> None:
    data = f" {text.lower()} ".encode("utf-8", "replace")
    slow = {hashed_slowly(data[i : i + n], 64) for n in (2, 3) for i in range(len(data) - n + 1)}
    assert ngram_columns(text, SMALL).tolist() == sorted(slow)


def test_columns_are_of_what_is_read_first_where_the_bundle_says_so() -> None:
    of_the_mask = ngram_columns("denied", SMALL).tolist()
    short = msgspec.structs.replace(SMALL, chars=6)
    assert ngram_columns("denied for hours", short).tolist() == of_the_mask
    read = msgspec.structs.replace(SMALL, reading=2, chars=14)
    record = "user=jane ip=<ip> tenant=0 outcome=denied"
    assert ngram_columns(record, read).tolist() == ngram_columns("outcome=denied", SMALL).tolist()


def test_rows_have_one_length() -> None:
    features = ngram_features(["a", "connection refused", "x" * 500], SMALL)
    assert features.dtype == np.float32
    assert np.linalg.norm(features, axis=1).tolist() == pytest.approx([1.5] * 3)
