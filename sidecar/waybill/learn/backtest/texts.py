"""The texts that one pattern stands for, and what a rule does with them.

A pattern's example says how its lines are dressed (clock, head, JSON); its mask alone does not.

>>> reach(automaton_of("user [0-9]+ left$"), of_message("user 17 left"))
'all'
>>> reach(automaton_of("user 1[0-9] left"), of_message("user 17 left"))
'some'
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, TypeAlias

from waybill.core.prepare import prepare
from waybill.learn.backtest.automaton import HIT, Automaton, TooComplex
from waybill.learn.backtest.values import (
    COLONS,
    DAY,
    DIGIT,
    HEX,
    HEX_0X,
    ID,
    INTEGER,
    IP,
    IPV4,
    IPV4_AND_MORE,
    MONTH,
    NAME,
    NUMBER,
    PLACE,
    TEXT,
    UUID,
    Value,
    ruler,
)
from waybill.learn.backtest.words import Values

__all__ = ["Fixed", "Reach", "Text", "draw", "fixed_of", "of_mask", "of_message", "reach"]

#: How many of the texts a pattern matches.
Reach: TypeAlias = Literal["none", "some", "all"]
#: What stands as it is, and what varies, in order.
Text: TypeAlias = "tuple[str | Value, ...]"

#: Characters of an example that are looked at: a rule that reads further on is not judged by it.
_LOOK_CHARS = 4096
_MONTHS = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DAYS = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_CLOCK = r"\d\d[:.]\d\d[:.]\d\d(?:[.,:]\d{1,9})?(?!\d)"
_TIME = (
    rf"(?<!\d)(?:\d{{4}}[-/.]\d\d[-/.]\d\d[T _-]{{1,2}}{_CLOCK}|\d\d[-/.]\d\d[-/.](?:\d\d){{1,2}}"
    rf"[T ,]{{1,2}}{_CLOCK}|\d\d/{_MONTHS}/\d{{4}}:{_CLOCK}|(?:{_DAYS},? )?{_MONTHS} [\d ]?\d "
    rf"{_CLOCK}(?: \d{{4}})?|{_CLOCK})"
)
_HEX = "[0-9a-fA-F]"
_CLEANED = "<(?:secret|email|iban|card|phone|private)>"
#: Words in front of spaces, in which no value begins: told at once, since most of a line is words.
_WORDS = rf"(?:[A-Za-z]+(?<!{_MONTHS})(?<!{_DAYS}) +)+"
_VARIES = re.compile(
    rf"(?P<words>{_WORDS})"
    rf"|(?P<more>(?<![\w.-])\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?::\d{{1,5}}|/\d{{1,2}})(?![.\d]))"
    rf"|(?P<ipv4>(?<![\w.-])\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?![.\d]))"
    rf"|(?P<time>{_TIME})"
    rf"|(?P<colons>(?<![\w:])(?:{_HEX}{{0,4}}:){{3,8}}{_HEX}{{1,4}}(?![\w:]))"
    rf"|(?P<uuid>\b{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}\b)"
    r"|(?P<place>\b[A-Z]{1,3}\d+(?:[-:][A-Z]{1,3}\d*)+\b)"
    rf"|(?P<hex0x>\b0[xX]{_HEX}+\b)"
    rf"|(?P<hex>\b(?=\d*[a-fA-F])(?=[a-fA-F]*\d){_HEX}{{8,}}\b)"
    rf"|(?P<text>{_CLEANED})|(?P<ip><ip>)|(?P<id><id>)"
    r"|(?P<number>\d+(?:[.,]\d+)+)|(?P<integer>\d+)",
    re.ASCII,
)
_VALUES = {
    "more": IPV4_AND_MORE,
    "ipv4": IPV4,
    "colons": COLONS,
    "uuid": UUID,
    "place": PLACE,
    "hex0x": HEX_0X,
    "hex": HEX,
    "text": TEXT,
    "ip": IP,
    "id": ID,
    "number": NUMBER,
    "integer": INTEGER,
}
_IN_TIME = re.compile(rf"(?P<digit>\d)|(?P<month>{_MONTHS})|(?P<day>{_DAYS})", re.ASCII)
_NUMERIC = frozenset((DIGIT, INTEGER, NUMBER, IPV4, MONTH, DAY))
_SPELLING = frozenset((COLONS, UUID, PLACE, HEX_0X, HEX, TEXT, IP, ID))
_NAMES_OF_TIME = frozenset((MONTH, DAY))
_VALUES_OF_TIME = {"digit": DIGIT, "month": MONTH, "day": DAY}
#: Who says it, at the head of a syslog line: the mask drops it.
_HOST = re.compile(
    rf"(?:<\d{{1,3}}>)?(?:1 )?(?:{_MONTHS} [\d ]?\d {_CLOCK}|\d{{4}}-\d\d-\d\dT{_CLOCK}\S*) "
    r"([\w.:-]{1,255})(?= )",
    re.ASCII,
)
_OF_MASK = re.compile(
    rf"(?P<ip><ip>)|(?P<id><id>)|(?P<text>{_CLEANED})|(?P<number>0+(?:[.,]0+)*)"
    r"|(?P<ruler>([.\-=*_#~+])\6\6)"
)
#: A word with what is blank behind it, or blanks.
_SPLIT = re.compile(r"\S+\s*|\s+")
_CLOCK_BEFORE = "2026-11-20T22:23:01.117Z "


@functools.lru_cache(maxsize=2048)
def of_message(message: str) -> Text:
    """Every text like ``message``: its words as they stand, in each value's place any of its kind.

    Integers stay integers, IPv4 addresses stay such. ``message`` may be an example that was
    cleaned.
    """
    text = prepare(message)[:_LOOK_CHARS]
    head = _HOST.match(text)
    if head is None:
        return _text_of(_pieces(text))
    before, behind = text[: head.start(1)], text[head.end(1) :]
    return _text_of([*_pieces(before), NAME, *_pieces(behind)])


def of_mask(mask: str) -> list[Text]:
    """Texts of ``mask`` without a frame, with a clock in front and without.

    Lines in JSON, logfmt or with a head of syslog can have the same mask: these are not among them.
    """
    plain = _text_of(_of_mask(mask))
    return [plain, (*of_message(_CLOCK_BEFORE), " ", *plain)]


def _pieces(text: str) -> Iterator[str | Value]:
    at = 0
    for found in _VARIES.finditer(text):
        if found.lastgroup == "words":
            continue
        yield text[at : found.start()]
        if found.lastgroup == "time":
            yield from _of_time(found[0])
        else:
            yield _VALUES[str(found.lastgroup)]
        at = found.end()
    yield text[at:]


def _of_time(text: str) -> Iterator[str | Value]:
    at = 0
    for found in _IN_TIME.finditer(text):
        yield text[at : found.start()]
        yield _VALUES_OF_TIME[str(found.lastgroup)]
        at = found.end()
    yield text[at:]


def _of_mask(mask: str) -> Iterator[str | Value]:
    at = 0
    for found in _OF_MASK.finditer(mask):
        yield mask[at : found.start()]
        if found["ruler"]:
            yield ruler(found["ruler"][0])
        else:
            yield _VALUES[str(found.lastgroup)]
        at = found.end()
    yield mask[at:]


def _text_of(pieces: Iterable[str | Value]) -> Text:
    """The pieces, what stands as it is as words: of a word an automaton knows where it leads."""
    found: list[str | Value] = []
    fixed = ""
    for piece in pieces:
        if isinstance(piece, str):
            fixed += piece
            continue
        if fixed:
            found += _SPLIT.findall(fixed)
            fixed = ""
        found.append(piece)
    if fixed:
        found += _SPLIT.findall(fixed)
    return tuple(found)


def reach(automaton: Automaton, text: Text) -> Reach:
    """How many of the texts of ``text`` a pattern matches; ``some`` also where nobody can say."""
    try:
        ends = list(map(automaton.ends, _states(automaton, text)))
    except TooComplex:
        return "some"
    if not any(ends):
        return "none"
    return "all" if all(ends) and automaton.is_exact else "some"


def _states(automaton: Automaton, text: Text) -> frozenset[int]:
    """The states in which ``automaton`` can be at the end. Raises TooComplex."""
    state = automaton.start
    for at, piece in enumerate(text):
        if isinstance(piece, str):
            state = automaton.run(state, piece)
        else:
            led = piece.lead(automaton, state)
            if len(led) != 1:
                return _many_states(automaton, led, text[at + 1 :])
            (state,) = led
        if state == HIT:
            break
    return frozenset((state,))


def _many_states(automaton: Automaton, states: frozenset[int], text: Text) -> frozenset[int]:
    """As `_states`, for what is left of a text."""
    for piece in text:
        if isinstance(piece, str):
            states = frozenset(automaton.run(state, piece) for state in states)
        else:
            states = frozenset().union(*(piece.lead(automaton, state) for state in states))
        if states == {HIT}:
            break
    return states


class Fixed(NamedTuple):
    """What of a text stands as it is, in lower case, NUL where a value is.

    ``values``: what they hold at most.
    """

    text: str
    values: Values


@functools.lru_cache(maxsize=64)
def fixed_of(text: Text) -> Fixed | None:
    """What of a text stands as it is; None where a word goes over into the name of a month."""
    before = ""
    for piece in text:
        if piece in _NAMES_OF_TIME and before[-1:].isalpha():
            return None
        before = piece if isinstance(piece, str) else ""
    pieces = [piece if isinstance(piece, str) else "\0" for piece in text]
    return Fixed("".join(pieces).lower(), _values_of(text))


def _values_of(text: Text) -> Values:
    kinds = {piece for piece in text if isinstance(piece, Value)}
    if kinds <= _NUMERIC:
        return "numbers"
    return "ids" if kinds & _SPELLING else "names"


def draw(text: Text, dice: random.Random) -> str:
    """One of the texts of ``text``."""
    return "".join(piece if isinstance(piece, str) else piece.draw(dice) for piece in text)
