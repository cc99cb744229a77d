"""Patterns for tools: from a file, or from a running sidecar."""

from __future__ import annotations

import asyncio
import itertools
import re
import sys
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from waybill.core.errors import MalformedError, WaybillError
from waybill.core.pattern import Pattern, decode
from waybill.patterns.client import PatternClient
from waybill.wire.inputs import as_utf8, pieces

__all__ = ["is_address", "pattern_lines", "read_patterns"]

_CHUNK_BYTES = 1 << 20
#: No line of a pattern is as long.
_MOST_LINE_BYTES = 16 << 20

#: ``http://sidecar:9880``, or ``sidecar:9880``.
_ADDRESS = re.compile(r"https?://\S+|[\w.-]+:\d{1,5}|\[[\da-fA-F:]+\]:\d{1,5}")


def is_address(text: str) -> bool:
    """Whether ``text`` is a sidecar's address, and no file of that name is there."""
    return _ADDRESS.fullmatch(text) is not None and not Path(text).exists()


def read_patterns(path_or_address: str, labelling: str = "") -> Iterator[Pattern]:
    """The patterns in a file of NDJSON (``-`` is stdin), of whatever labelling, or all that a
    sidecar has of ``labelling``.

    Raises:
        WaybillError: a line is not a pattern, or the sidecar does not answer.
        OSError: the file cannot be read.
    """
    if is_address(path_or_address):
        yield from asyncio.run(_ask(path_or_address, labelling))
    elif path_or_address == "-":
        yield from _read("stdin", _lines("stdin", sys.stdin.buffer))
    else:
        yield from _read(path_or_address, pattern_lines(path_or_address))


def pattern_lines(path: str) -> Iterator[bytes]:
    """The lines of a file as UTF-8, also of one that is compressed, or in UTF-16 with its mark.

    Raises:
        WaybillError: it holds no lines.
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        yield from _lines(path, file)


def _lines(name: str, file: BinaryIO) -> Iterator[bytes]:
    try:
        chunks = pieces(iter(lambda: file.read(_CHUNK_BYTES), b""))
        start = next(chunks, b"")
        _, chunks = as_utf8(start, itertools.chain((start.removeprefix(BOM_UTF8),), chunks))
        rest = b""
        for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
            if len(rest) > _MOST_LINE_BYTES:
                raise WaybillError(f"{name}: a line of more than {_MOST_LINE_BYTES >> 20} MiB")
        yield rest
    except MalformedError as error:
        raise WaybillError(f"{name}: {error}") from None


async def _ask(address: str, labelling: str) -> list[Pattern]:
    found: list[Pattern] = []
    asked = {"labelling": labelling} if labelling else {}
    async with PatternClient(address) as client:
        async for answer in client.all(asked):
            if not answer.is_whole:
                raise WaybillError(
                    f"{client.url}: only {answer.workers} workers answered, so that records would "
                    "be missing; try again"
                )
            found += answer.patterns
    return found


def _read(name: str, lines: Iterable[bytes]) -> Iterator[Pattern]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise WaybillError(f"{name}:{number}: no pattern: {error}") from None
