"""What tools read of recorded traffic: patterns from a file or a sidecar, or messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from waybill.core.errors import WaybillError
from waybill.core.pattern import Pattern, decode

__all__ = ["are_patterns", "is_address", "read_recorded"]

#: ``http://sidecar:9880``, or ``sidecar:9880``.
_ADDRESS = re.compile(r"https?://\S+|[\w.-]+:\d{1,5}|\[[\da-fA-F:]+\]:\d{1,5}")


def is_address(text: str) -> bool:
    """Whether ``text`` is a sidecar's address, and no file of that name is there."""
    return _ADDRESS.fullmatch(text) is not None and not Path(text).exists()


def are_patterns(source: str) -> bool:
    """Whether ``source`` is a sidecar's address or a file of patterns, by its first line.

    Raises:
        OSError: the file cannot be read.
    """
    if is_address(source):
        return True
    if source == "-":
        return False
    with Path(source).open("rb") as file:
        for line in file:
            if line.strip():
                return _is_pattern(line)
    return False


def _is_pattern(line: bytes) -> bool:
    try:
        decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return True


def read_recorded(source: str) -> Iterator[Pattern]:
    """The patterns of the first labelling in a file of NDJSON, or of a sidecar.

    Raises:
        WaybillError: a line is no pattern, or the sidecar does not answer.
        OSError: the file cannot be read.
    """
    with Path(source).open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                pattern = decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise WaybillError(f"{source}:{number}: no pattern: {error}") from None
            if not pattern.labelling:
                yield pattern
