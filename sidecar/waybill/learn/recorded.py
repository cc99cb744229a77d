"""What tools read of recorded traffic: patterns from a file or a sidecar, or messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from waybill.core.pattern import Pattern, decode
from waybill.patterns.files import is_address, read_patterns

__all__ = ["are_patterns", "read_recorded"]


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


def read_recorded(source: str, labelling: str = "") -> Iterator[Pattern]:
    """The patterns of a labelling ("": the first) in a file of NDJSON, or of a sidecar.

    Raises:
        WaybillError: a line is no pattern, or the sidecar does not answer.
        OSError: the file cannot be read.
    """
    for pattern in read_patterns(source):
        if pattern.labelling == labelling:
            yield pattern
