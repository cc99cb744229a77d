"""Where in a message something stands: the values behind a mask, and what a rule matched."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator, Sequence

import regex
from markupsafe import Markup

from waybill.labelling.rules.pattern import compile_confirmation, translate
from waybill.web.text import log_text, plain

#: What a mask has in place of a value: see `waybill.labelling.masking`.
MASKED = re.compile(r"<i[dp]>|\b0+\b")
#: Values that are told of one place, and characters of each.
_MOST_VALUES = 3
_VALUE_CHARS = 60
#: A search may take so long: a page has many, and patterns are anybody's.
_SEARCH_SECS = 0.01
#: Patterns that are kept compiled.
_KEPT = 64
#: Characters that are shown before a match.
_BEFORE_CHARS = 60


def values_behind(mask: str, examples: Sequence[str]) -> list[str]:
    """For each place of ``mask`` that stands for a value, the values there; empty: none is known.

    >>> values_behind("order 0 of <id> held", ["order 12 of 9f2c held", "order 7 of 9f2c held"])
    ['12, 7', '9f2c']
    """
    words = MASKED.split(mask)
    told: list[dict[str, None]] = [{} for _ in words[1:]]
    for example in examples:
        for place, value in zip(told, _values(words, example), strict=False):
            place[plain(value)[:_VALUE_CHARS]] = None
    return [", ".join(list(place)[:_MOST_VALUES]) for place in told]


def _values(words: Sequence[str], example: str) -> Iterator[str]:
    """What stands between the fixed words of a mask, as far as they are there in their order."""
    at = example.find(words[0])
    if at < 0:
        return
    at += len(words[0])
    for number, word in enumerate(words[1:], 1):
        is_last = number == len(words) - 1
        if not word and not is_last:
            return  # nothing tells where the one value ends and the next begins
        end = len(example) - len(word) if is_last else example.find(word, at)
        if end < at or not example.startswith(word, end):
            return
        yield example[at:end]
        at = end + len(word)


@functools.lru_cache(_KEPT)
def _compiled(pattern: str) -> regex.Pattern[str] | None:
    with contextlib.suppress(ValueError):
        return compile_confirmation(translate(pattern).confirmation)
    return None


def hit_of(pattern: str, message: str) -> tuple[int, int] | None:
    """Begin and end of what a rule's pattern finds in a message; None: nothing, or not in time."""
    found = _compiled(pattern)
    if found is None:
        return None
    with contextlib.suppress(TimeoutError):
        hit = found.search(message, timeout=_SEARCH_SECS)
        return hit.span() if hit is not None else None
    return None


def hit_text(pattern: str, message: str, most: int) -> Markup:
    """``message`` as HTML, the part that ``pattern`` finds underlined; at most ``most`` characters.

    Of a long message, what stands round the match is shown.
    """
    hit = hit_of(pattern, message)
    if hit is None or hit[0] == hit[1]:
        return log_text(message, most)
    begin, end = hit
    first = max(0, begin - _BEFORE_CHARS) if end > most else 0
    head = ("\u2026" if first else "") + message[first:begin]
    end = min(end, begin + most)
    left = max(0, most - len(head) - (end - begin))
    tail = message[end : end + left] + ("\u2026" if len(message) > end + left else "")
    parts = tuple(map(plain, (head, message[begin:end], tail)))
    return Markup("<bdi class=log>{}<u class=hit>{}</u>{}</bdi>").format(*parts)
