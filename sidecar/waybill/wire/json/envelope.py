"""Where records lie in JSON that holds them: ``{"logs": [...]}`` with ``fields.records: logs``.

Such an object is a frame, not a record: each object at the path is one, in an array or alone. The
bytes around them stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from waybill.core.batch import Batch
from waybill.core.steps import trimmed_end
from waybill.wire.json import scan

__all__ = ["flattened", "is_action", "records_within"]

_BRACE, _BRACKET, _CLOSE_BRACKET = b"{[]"

#: A line of Elasticsearch's bulk format that says what becomes of the record behind it.
_ACTION = re.compile(
    rb'\s{0,64}\{\s{0,64}"(?:index|create|update|delete)"\s{0,64}:'
    rb"\s{0,64}\{[^{}]{0,1024}\}\s{0,64}\}"
)
#: How a list of records or of lists begins, and how deep lists are read.
_LIST = re.compile(rb"\[\s{0,64}[\[{]")
_MOST_LISTS = 4


def flattened(batch: Batch, start: int, end: int, lists: int = _MOST_LISTS) -> Iterator[scan.Span]:
    """The spans of what a list within a list of records holds; of what is none, its own.

    Raises SlowToReadError.
    """
    if lists and _LIST.match(batch.body, start, end):
        batch.budget.take(end - start)
        for at, stop in _elements(batch.body, start, end):
            yield from flattened(batch, at, stop, lists - 1)
    else:
        yield start, end


def is_action(body: bytes, start: int, end: int) -> bool:
    """Whether ``body[start:end]`` begins with an action line of Elasticsearch's bulk format."""
    return _ACTION.match(body, start, end) is not None


def records_within(body: bytes, start: int, end: int, path: Sequence[str]) -> Iterator[scan.Span]:
    """The spans of the records in the object or array ``body[start:end]``.

    An object that has nothing at ``path`` is a record itself.
    """
    if body[start] == _BRACKET:
        for at, stop in _elements(body, start, end):
            yield from _of_value(body, at, stop, path)
    else:
        yield from _of_value(body, start, end, path)


def _of_value(body: bytes, start: int, end: int, path: Sequence[str]) -> Iterator[scan.Span]:
    found = scan.find(body, start, path)
    if found is None or body[found[0]] not in (_BRACE, _BRACKET):
        yield start, end
    elif body[found[0]] == _BRACE:
        yield found
    else:
        yield from _elements(body, *found)


def _elements(body: bytes, start: int, end: int) -> Iterator[scan.Span]:
    """The elements of the array in ``body[start:end]``; a broken one reaches to its end."""
    at = scan.skip_space(body, start + 1)
    while at < end - 1 and body[at] != _CLOSE_BRACKET:
        stop = scan.value_end(body, at, end - 1)
        if stop < 0:
            yield at, trimmed_end(body, at, end - 1, scan.SPACE)
            return
        yield at, stop
        at = scan.skip_marks(body, stop)
