"""Patterns for tools: from a file, or from a running sidecar."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from waybill.core.errors import WaybillError
from waybill.core.pattern import Pattern, decode
from waybill.patterns.client import PatternClient

__all__ = ["is_address", "read_patterns"]

#: ``http://sidecar:9880``, or ``sidecar:9880``.
_ADDRESS = re.compile(r"https?://\S+|[\w.-]+:\d{1,5}|\[[\da-fA-F:]+\]:\d{1,5}")


def is_address(text: str) -> bool:
    """Whether ``text`` is a sidecar's address, and no file of that name is there."""
    return _ADDRESS.fullmatch(text) is not None and not Path(text).exists()


def read_patterns(path_or_address: str, token: str = "") -> Iterator[Pattern]:
    """The patterns in a file of NDJSON (``-`` is stdin), or all that a sidecar has.

    Raises:
        WaybillError: a line is no pattern, or the sidecar does not answer.
        OSError: the file cannot be read.
    """
    if is_address(path_or_address):
        yield from asyncio.run(_ask(path_or_address, token))
    elif path_or_address == "-":
        yield from _read("stdin", sys.stdin.buffer)
    else:
        with Path(path_or_address).open("rb") as file:
            yield from _read(path_or_address, file)


async def _ask(address: str, token: str) -> list[Pattern]:
    found: list[Pattern] = []
    async with PatternClient(address, token) as client:
        async for answer in client.all():
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
