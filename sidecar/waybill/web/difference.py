"""Differences of files as people and tools read them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

#: Of more lines than these the finest difference takes seconds: its time grows with their square.
_MOST_LINES = 8000


def difference(before: str | None, after: str | None, name: str) -> list[str]:
    """A unified diff of two texts, without line ends; where very much stands between the first line
    that differs and the last, all of that.
    """
    old = f"a/{name}" if before is not None else "/dev/null"
    new = f"b/{name}" if after is not None else "/dev/null"
    left, right = (before or "").splitlines(), (after or "").splitlines()
    same = _same(left, right)
    most = min(len(left), len(right)) - same
    behind = min(most, _same(left[::-1], right[::-1]))
    left_end, right_end = len(left) - behind, len(right) - behind
    if max(left_end, right_end) - same <= _MOST_LINES:
        return list(difflib.unified_diff(left, right, old, new, lineterm=""))
    left, right = left[same:left_end], right[same:right_end]
    place = f"@@ -{same + bool(left)},{len(left)} +{same + bool(right)},{len(right)} @@"
    return [f"--- {old}", f"+++ {new}", place, *(f"-{x}" for x in left), *(f"+{x}" for x in right)]


def _same(left: Sequence[str], right: Sequence[str]) -> int:
    """How many lines are the same from the beginning on."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((i for i, (one, other) in pairs if one != other), min(len(left), len(right)))
