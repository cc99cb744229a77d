"""What tools read of recorded traffic: patterns from a file or a sidecar, or messages."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from waybill.core.errors import WaybillError
from waybill.core.foreign import read_json
from waybill.core.pattern import MEMBERS, Pattern
from waybill.learn.messages import STDIN
from waybill.patterns.files import is_address, pattern_lines, read_patterns

__all__ = ["are_patterns", "read_recorded"]

#: How a pattern begins, as far as a pipe has brought it.
_HEAD: Final = re.compile(rb'\s*\{"id":\s?"[0-9a-f]{16}",\s?"mask":')


def are_patterns(source: str) -> bool:
    """Whether ``source`` is a sidecar's address or holds patterns, by its first line.

    Raises:
        WaybillError: it holds no lines.
        OSError: the file cannot be read.
    """
    if is_address(source):
        return True
    if source == STDIN:
        peek = getattr(sys.stdin.buffer, "peek", bytes)
        return _HEAD.match(peek()) is not None
    for line in pattern_lines(source):
        if line.strip():
            return _is_pattern(line)
    return False


def _is_pattern(line: bytes) -> bool:
    """Whether it is meant as a pattern; where it is broken, reading it says what is wrong."""
    try:
        members = read_json(line, object)
    except msgspec.DecodeError:
        return _HEAD.match(line) is not None
    return isinstance(members, dict) and members.keys() >= MEMBERS


def read_recorded(source: str, labelling: str = "") -> Iterator[Pattern]:
    """The patterns of a labelling ("": the first) in a file of NDJSON, or of a sidecar.

    Raises:
        WaybillError: a line is not a pattern, all are of other labellings, or the sidecar does
            not answer.
        OSError: the file cannot be read.
    """
    others: set[str] = set()
    is_there = False
    for pattern in read_patterns(source, labelling):
        if pattern.labelling == labelling:
            is_there = True
            yield pattern
        else:
            others.add(pattern.labelling)
    if others and not is_there:
        raise WaybillError(f"{source}: {_of_others(labelling, others)}")


def _of_others(labelling: str, others: Iterable[str]) -> str:
    """That every pattern is of another labelling, and how to ask for those."""
    wanted = f"the labelling {labelling!r}" if labelling else "the first labelling"
    ways = [f"--labelling {name}" if name else "no --labelling" for name in sorted(others)]
    return f"no pattern of {wanted}; for those that are here: {' or '.join(ways)}"
