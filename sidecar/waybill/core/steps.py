"""Long bytes looked at in steps: while one call of the interpreter works, no other thread runs."""

from __future__ import annotations

import re

__all__ = ["STEP_BYTES", "run_end", "trimmed_end"]

#: What is looked at in one call.
STEP_BYTES = 1 << 20


def run_end(
    run: re.Pattern[bytes],
    data: bytes | memoryview,
    at: int,
    limit: int | None = None,
    *,
    unit: int = 1,
) -> int:
    r"""The end of what ``run`` matches at ``at``, which is ``limit`` at most.

    All are offsets in bytes. ``run`` repeats a unit of at most ``unit`` bytes: a step may end
    within one, and the next step then begins before it.

    >>> run_end(re.compile(rb"[ \n]*"), b"  x", 0)
    2
    """
    if limit is None:
        limit = len(data)
    while True:
        stop = min(limit, at + STEP_BYTES)
        match = run.match(data, at, stop)
        if match is None:
            return at
        at = match.end()
        if at <= stop - unit or stop == limit:
            return at


def trimmed_end(data: bytes | memoryview, start: int, end: int, around: bytes) -> int:
    """Where ``data[start:end]`` ends without the bytes of ``around`` at its end.

    >>> trimmed_end(b"x  ", 0, 3, b" ")
    1
    """
    while start < end:
        piece = bytes(data[max(start, end - STEP_BYTES) : end])
        left = len(piece.rstrip(around))
        end -= len(piece) - left
        if left:
            break
    return end
