"""Recorded traffic: what holds patterns is never taken for so many records, however it is kept."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from waybill.core.errors import WaybillError
from waybill.core.pattern import Pattern, encode, pattern_id
from waybill.learn.recorded import are_patterns, read_recorded

PATTERNS = [
    Pattern(id=pattern_id(mask), mask=mask, count=10, sources={"s": 10}, examples=(mask,))
    for mask in ("disk 0 is full", "grüße an user 0", "user 0 left")
]
PLAIN = b"".join(map(encode, PATTERNS))


@pytest.mark.parametrize(
    "kept",
    [
        bytes,
        gzip.compress,
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: b"\n \n" + data.removesuffix(b"\n"),
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: gzip.compress(b"\xef\xbb\xbf" + data),
        lambda data: data.decode().encode("utf-16"),
        lambda data: data.decode().encode("utf-16-be"),
        lambda data: data.decode().encode("utf-32"),
    ],
)
def test_patterns_are_read_however_they_are_kept(
    kept: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    file = tmp_path / "patterns.txt"
    file.write_bytes(kept(PLAIN))
    assert are_patterns(str(file))
    assert list(read_recorded(str(file))) == PATTERNS


def test_patterns_of_other_labellings_only_are_told_with_their_names(tmp_path: Path) -> None:
    file = tmp_path / "patterns.ndjson"
    theirs = [msgspec.structs.replace(one, labelling="severity") for one in PATTERNS]
    file.write_bytes(b"".join(map(encode, theirs)))
    assert list(read_recorded(str(file), "severity")) == theirs
    with pytest.raises(WaybillError, match=r"the first labelling; .* --labelling severity$"):
        list(read_recorded(str(file)))
    file.write_bytes(PLAIN)
    with pytest.raises(WaybillError, match=r"'severity'; .* no --labelling$"):
        list(read_recorded(str(file), "severity"))
    file.write_bytes(b"\n")
    assert list(read_recorded(str(file), "severity")) == []


def test_patterns_come_through_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(PLAIN))))
    assert are_patterns("-")
    assert list(read_recorded("-")) == PATTERNS


@pytest.mark.parametrize(
    "data",
    [
        PLAIN[:50],
        b'{"id": "0123456789abcdef", "mask": "user 0 left", "count": "many"}\n',
        PLAIN.replace(b'"count":10', b'"count":-1.5'),
    ],
)
def test_a_pattern_with_a_fault_is_no_record(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "patterns.ndjson"
    file.write_bytes(data)
    assert are_patterns(str(file))
    with pytest.raises(WaybillError, match=r"patterns.ndjson:1: no pattern: "):
        list(read_recorded(str(file)))


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"user 1 left\n", b'{"log": "x", "id": "1"}\n', b"[1, 2]\n", b"PAR1\x00\xff"],
)
def test_records_are_no_patterns(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "lines.ndjson"
    file.write_bytes(data)
    assert not are_patterns(str(file))


def test_what_holds_no_lines_is_named(tmp_path: Path) -> None:
    file = tmp_path / "patterns.ndjson"
    file.write_bytes(b"BZh91AY&SY")
    with pytest.raises(WaybillError, match="bzip2"):
        are_patterns(str(file))
