"""Character classes of a pattern, written out in a dialect that differs only in its spelling."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from re import _constants as op  # type: ignore[attr-defined]
from typing import Any

#: Plain integers: combining members of an enumeration took a tenth of the time of a translation.
DOT_ALL, IGNORE_CASE, MULTI_LINE = int(re.DOTALL), int(re.IGNORECASE), int(re.MULTILINE)


def class_text(
    span: Callable[[int, int], str],
    categories: Mapping[Any, str],
    items: Sequence[tuple[Any, Any]],
    flags: int,
) -> str:
    """A character class in a dialect that writes a range by ``span`` and categories as given."""
    negation = ""
    parts: list[str] = []
    for kind, value in items:
        if kind is op.NEGATE:
            negation = "^"
        elif kind is op.LITERAL:
            parts.append(both_cases(span, value, value, flags))
        elif kind is op.RANGE:
            low, high = value
            parts.append(both_cases(span, low, high, flags))
        else:
            parts.append(categories[value])
    return f"[{negation}{''.join(parts)}]"


@functools.lru_cache(maxsize=4096)  # rule sets say the same few characters again and again
def both_cases(span: Callable[[int, int], str], low: int, high: int, flags: int) -> str:
    """A range as it stands in a class; with IGNORECASE also its ASCII letters in the other case."""
    text = span(low, high)
    if not flags & IGNORE_CASE:
        return text
    for first, last, shift in ((0x41, 0x5A, 32), (0x61, 0x7A, -32)):
        start = max(low, first)
        stop = min(high, last)
        if start <= stop:
            text += span(start + shift, stop + shift)
    return text
