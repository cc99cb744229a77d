"""Differences of files as people and tools read them."""

from __future__ import annotations

import difflib


def difference(before: str | None, after: str | None, name: str) -> list[str]:
    """A unified diff of two texts, without line ends."""
    old = f"a/{name}" if before is not None else "/dev/null"
    new = f"b/{name}" if after is not None else "/dev/null"
    lines = difflib.unified_diff(
        (before or "").splitlines(), (after or "").splitlines(), old, new, lineterm=""
    )
    return list(lines)
