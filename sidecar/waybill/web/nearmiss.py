"""Rules that nearly took a message: which they are, and where they stopped.

A rule is looked at when the message has most of its words. How far it came is measured by cutting
its pattern from the end until what is left is found in the message.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import regex

from waybill.labelling.rules.ruleset import Rule

#: Longest message and pattern that are looked at; cutting a pattern costs its length squared.
_MOST_CHARS = 500
_MOST_RULES = 3
#: For all of them together: a pattern of a few characters can take hours on a chosen message.
_MOST_SECS = 0.2
#: Share of a pattern's words that the message must have.
_LEAST_SHARE = 0.5
_LEAST_WORDS = 2
_WORD = re.compile(r"[a-z]{4,}")
_ESCAPE = re.compile(r"\\[A-Za-z]")


class NearMiss(NamedTuple):
    """A rule that did not match: what of its pattern was found, and what was not."""

    rule: str
    label: str
    found: str
    missing: str

    @property
    def sentence(self) -> str:
        """What happened, for people."""
        return f"{self.rule} ({self.label}) reads as far as {self.found!r}, not {self.missing!r}"


def near_misses(rules: Iterable[Rule], matching: Sequence[str], message: str) -> list[NearMiss]:
    """Rules that share most of their words with ``message`` and do not match it, best first."""
    message = message[:_MOST_CHARS]
    words = _words(message)
    likely = []
    for rule in rules:
        if rule.id in matching or len(rule.pattern) > _MOST_CHARS:
            continue
        theirs = _words(_ESCAPE.sub(" ", rule.pattern))
        common = len(theirs & words)
        if common >= _LEAST_WORDS and common >= _LEAST_SHARE * len(theirs):
            likely.append((common / len(theirs), rule))
    likely.sort(key=lambda one: (-one[0], one[1].index))
    until = time.monotonic() + _MOST_SECS
    found = []
    for _, rule in likely[:_MOST_RULES]:
        length = _matched_length(rule.pattern, message, until)
        if 0 < length < len(rule.pattern):
            cut = (rule.pattern[:length], rule.pattern[length:])
            found.append(NearMiss(rule.id, rule.label, *cut))
    return found


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def _matched_length(pattern: str, message: str, until: float) -> int:
    """Characters of the longest beginning of ``pattern`` that is found in ``message``; 0 when that
    is not known at ``until`` of the monotonic clock: a cut pattern may have no end of ways.
    """
    for length in range(len(pattern), 0, -1):
        left = until - time.monotonic()
        if left <= 0:
            break
        try:
            cut = regex.compile(pattern[:length], regex.IGNORECASE | regex.VERSION0)
            if cut.search(message, timeout=left, concurrent=True):
                return length
        except TimeoutError:
            break
        except (regex.error, RecursionError, OverflowError):
            continue
    return 0
