"""Tells whether rules depend on values that a mask hides, by trying the message with other values.

A mask such as ``GET 0 took 0 ms`` stands for messages that rules may label in several ways (HTTP
200 and 500). A correction of it would decide all of them, so it is refused, and the values that
decide are named.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from waybill.core.prepare import prepare
from waybill.labelling.masking import mask
from waybill.labelling.rules.ruleset import Rule, RuleSet

__all__ = ["Deciding", "draw", "find_deciding", "first_rule"]

#: What a mask hides: addresses, ids, numbers.
_ADDRESS = r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])"
_HIDDEN = re.compile(
    rf"(?P<ip>{_ADDRESS})|(?P<id>\b(?=[0-9a-fA-F-]{{0,64}}\d)[0-9a-fA-F]{{8,}}\b)|(?P<number>\d+)"
)
#: Numbers that mean something in logs: states of HTTP and SMTP, exit codes, signals, shares, ports.
_NUMBERS = (
    *range(10), 11, 13, 15, 16, 22, 25, 42, 50, 53, 80, 90, 95, 99, 100, 101, 110, 111, 113, 125,
    126, 127, 130, 134, 137, 139, 143, 200, 201, 204, 206, 220, 250, 255, 256, 301, 302, 304, 307,
    389, 400, 401, 403, 404, 408, 409, 413, 415, 418, 421, 422, 429, 443, 450, 451, 499, 500, 501,
    502, 503, 504, 507, 511, 535, 550, 552, 553, 554, 599, 999, 1000, 1001, 1062, 1213, 3306, 5432,
    6379, 8080, 9200, 10000, 65535, 100000, 1000000,
)  # fmt: skip
_ADDRESSES = (
    "0.0.0.0",  # noqa: S104 - a text, nobody listens there
    "10.0.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "192.168.0.1",
    "8.8.8.8",
)
_IDS = ("deadbeef00", "0123456789abcdef", "00000000")
#: Values of one message that are varied, and texts tried in all.
_MOST_VALUES = 24
_MOST_TRIED = 4000
#: Of all texts together.
_MOST_CHARS = 4_000_000
#: Numbers and addresses that stand in the rules themselves are what rules may ask for.
_IN_PATTERNS = re.compile(r"(?<![\\{,\d])\d{1,6}(?![\d,}])")
_CLASS = re.compile(r"(\d{1,4})\[(\d)-?(\d?)\]|(\d{1,4})\\d")
_MOST_OF_RULES = 200


class Deciding(NamedTuple):
    """A value that decides: with ``other`` in the place of ``value`` rules give another label.

    ``label`` and ``rule`` are those of the message with ``other``; None where no rule decides it.
    ``at`` is where the value stands in the prepared message.
    """

    value: str
    at: int
    other: str
    label: str | None
    rule: str | None


def first_rule(rules: RuleSet, text: str, allowed: frozenset[int] | None) -> Rule | None:
    """The rule that would decide ``text``, without a trace in ``rules``."""
    for rule in rules.matching(text):
        if rule.mode != "shadow" and (allowed is None or rule.index in allowed):
            return rule
    return None


def find_deciding(
    rules: RuleSet,
    message: str,
    label: str,
    allowed: frozenset[int] | None = None,
    seen: Iterable[str] = (),
) -> list[Deciding]:
    """The values of ``message`` for which ``label`` would take the place of what rules say.

    Empty where rules give all that shares the mask one label, or the label that is asked for. By
    trying, so a rule that asks for an unlikely value may be missed, unless it is in ``seen``:
    messages of the same mask.
    """
    text = prepare(message)[: rules.max_message_bytes]
    masked = mask(text)
    rule = first_rule(rules, text, allowed)
    now = rule.label if rule is not None else None
    found: list[Deciding] = []
    decided: set[int] = set()
    tries = min(_MOST_TRIED, _MOST_CHARS // (len(text) + 1))
    drawn_values = itertools.chain(_values_of(seen, text), draw(rules, text))
    for at, value, other in itertools.islice(drawn_values, tries):
        if at in decided:
            continue
        drawn = f"{text[:at]}{other}{text[at + len(value) :]}"
        by = first_rule(rules, drawn, allowed)
        one = Deciding(value, at, other, None, None)
        if by is not None:
            one = one._replace(label=by.label, rule=by.id)
        if _tells_apart(one, now, label) and mask(drawn) == masked:
            found.append(one)
            decided.add(at)
    return found


def _tells_apart(one: Deciding, now: str | None, label: str) -> bool:
    """Whether rules say something else of ``one`` than ``now``, which ``label`` would hide."""
    if one.label == now or (one.label in (None, label) and now in (None, label)):
        return False
    # A rule that asks for three digits tells no HTTP status from another.
    return one.label is not None or len(one.other) == len(one.value)


def draw(rules: RuleSet, text: str) -> Iterator[tuple[int, str, str]]:
    """Where a hidden value stands, the value, and another in its place; in turns, so that a bound
    on their number leaves out no value altogether.
    """
    numbers = [str(number) for number in (*_numbers_of(rules), *_NUMBERS)]
    streams: list[Iterator[tuple[int, str, str]]] = []
    for hidden in itertools.islice(_HIDDEN.finditer(text), _MOST_VALUES):
        choice: Sequence[str] = numbers
        if hidden.lastgroup == "ip":
            choice = _ADDRESSES
        elif hidden.lastgroup == "id":
            choice = _IDS
        streams.append(_others(hidden.start(), hidden[0], choice))
    for drawn in itertools.zip_longest(*streams):
        yield from filter(None, drawn)


def _values_of(seen: Iterable[str], text: str) -> Iterator[tuple[int, str, str]]:
    """What stands in messages of the same mask where ``text`` has a value, as of `draw`."""
    hidden = list(_HIDDEN.finditer(text))
    for message in seen:
        others = list(_HIDDEN.finditer(prepare(message)))
        if len(others) != len(hidden):
            continue
        for one, other in zip(hidden, others, strict=True):
            if one[0] != other[0]:
                yield one.start(), one[0], other[0]


def _others(at: int, value: str, choice: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    for other in choice:
        if other != value:
            yield at, value, other


def _numbers_of(rules: RuleSet) -> list[int]:
    """Numbers that patterns name: as they stand, and the first and last of a range."""
    found: dict[int, None] = {}
    for rule in rules.rules:
        for number in _IN_PATTERNS.findall(rule.pattern):
            found[int(number)] = None
        for before, low, high, open_end in _CLASS.findall(rule.pattern):
            if open_end:
                found[int(f"{open_end}3")] = None
            else:
                found[int(before + low)] = None
                found[int(before + (high or low))] = None
        if len(found) > _MOST_OF_RULES:
            break
    return list(found)
