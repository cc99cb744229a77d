r"""JSON values out of text, leniently: an array, NDJSON, or objects one after another, broken ones
too.

>>> list(values('{"a": 1} {"b": 2}\nbroken\n[3]'))
[{'a': 1}, {'b': 2}, 'broken', 3]
"""

from __future__ import annotations

import json
from collections.abc import Iterator

__all__ = ["objects", "values"]

#: What may stand between two values.
_BETWEEN = " \t\r\n,\x1a\x1e\x00\ufeff"
_DECODER = json.JSONDecoder(strict=False)


def values(text: str) -> Iterator[object]:
    """The values, elements of arrays one by one; what cannot be read is the text to the
    line's end.
    """
    at = _skip(text, 0)
    while at < len(text):
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = text.find("\n", at)
            if end < 0:
                end = len(text)
            value = text[at:end].rstrip("\r")
            at = end
        if isinstance(value, list):
            yield from value
        else:
            yield value
        at = _skip(text, at)


def objects(text: str) -> Iterator[dict[str, object]]:
    """The values that are objects."""
    for value in values(text):
        if isinstance(value, dict):
            yield value


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BETWEEN:
        at += 1
    return at
