"""No regular expression of ours takes time that grows faster than the text, whatever it is.

All of the package are walked: those that modules keep, and those written where they are used. What
is hard on one is made of the very characters that it names.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import pkgutil
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from re import _constants as names  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

import waybill
from tests.effort import allowed

SIZE = 4_000
#: What takes less is not looked at again: quadratic ones take eight times as long and more.
MOST_SECS = 0.001
#: Between four times and sixteen times as long, for four times the text.
GROWTH = 9.0
MOST_CHARACTERS, MOST_PAIRS, MOST_BEGINNINGS = 6, 8, 6
ROOT = Path(waybill.__file__).parent
_REPEATS = (names.MAX_REPEAT, names.MIN_REPEAT, names.POSSESSIVE_REPEAT)
_CATEGORIES = {
    names.CATEGORY_DIGIT: "0",
    names.CATEGORY_SPACE: " ",
    names.CATEGORY_WORD: "a",
    names.CATEGORY_NOT_DIGIT: "a",
    names.CATEGORY_NOT_SPACE: "a",
    names.CATEGORY_NOT_WORD: "-",
}
Found = dict[tuple[str | bytes, int], str]
#: What is read of these has a bound, or was read by another one before.
BOUNDED = {
    "waybill.wire.timestamps._MAIL": "a time of 100 characters at most",
    "waybill.learn.backtest.texts._VARIES": "4,096 characters at most",
    "waybill.wire.json.scan._STRING": "where a string begins; what follows one without end is left",
    "waybill.wire.lines._ONE": "lines that _LOGFMT takes: they are nothing but pairs",
}


def kept(value: object, where: str, found: Found, depth: int = 3) -> None:
    """The patterns in ``value``: itself, or within tables of them."""
    if isinstance(value, re.Pattern):
        found.setdefault((value.pattern, value.flags), where)
    elif depth and isinstance(value, list | tuple | set | frozenset):
        for one in itertools.islice(value, 1_000):
            kept(one, where, found, depth - 1)
    elif depth and isinstance(value, dict):
        for one in itertools.islice(value.values(), 1_000):
            kept(one, where, found, depth - 1)
    elif depth and type(value).__module__.startswith("waybill") and hasattr(value, "__dict__"):
        for one in vars(value).values():
            kept(one, where, found, depth - 1)


def written(found: Found) -> None:
    """The patterns that are written in a call of ``re``, but for those that modules keep."""
    known = {pattern for pattern, _ in found}
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="re"), attr=attr),
                    args=[ast.Constant(value=str() | bytes() as pattern), *_],
                ) if attr != "escape" and pattern not in known:
                    compiled: re.Pattern[Any] = re.compile(pattern)
                    where = f"{path.relative_to(ROOT)}:{node.lineno} {attr}"
                    found.setdefault((pattern, compiled.flags), where)


def expressions() -> Found:
    found: Found = {}
    for module in pkgutil.walk_packages(waybill.__path__, "waybill."):
        if not module.name.endswith("__main__"):
            for name, value in vars(importlib.import_module(module.name)).items():
                if not name.startswith("__"):
                    kept(value, f"{module.name}.{name}", found)
    written(found)
    return found


def of_set(members: list[tuple[Any, Any]]) -> list[str]:
    """A character of each member of a set; of a negated one, some that are not in it."""
    if members and members[0][0] is names.NEGATE:
        barred = {chr(code) for kind, code in members if kind is names.LITERAL}
        return [char for char in "a0 ,'\"\n" if char not in barred][:2]
    found = []
    for kind, value in members:
        if kind is names.LITERAL:
            found.append(chr(value))
        elif kind is names.RANGE:
            found.append(chr(value[0]))
        elif kind is names.CATEGORY:
            found.append(_CATEGORIES.get(value, "a"))
    return found


def walked(parsed: Any) -> Iterator[tuple[str, bool]]:
    """The characters that a pattern names; whether they stand in a text that it may match."""
    for kind, value in parsed:
        if kind is names.LITERAL:
            yield chr(value), True
        elif kind is names.NOT_LITERAL or kind is names.ANY:
            yield "q", True
        elif kind is names.IN:
            first, *others = of_set(value) or ["a"]
            yield first, True
            yield from ((char, False) for char in others)
        elif kind in _REPEATS:
            inside = list(walked(value[2]))
            yield from inside
            yield from inside * min(2, max(0, value[0] - 1))
        elif kind is names.SUBPATTERN:
            yield from walked(value[3])
        elif kind is names.ATOMIC_GROUP:
            yield from walked(value)
        elif kind is names.BRANCH:
            yield from walked(value[1][0])
            for branch in value[1][1:]:
                yield from ((char, False) for char, _ in walked(branch))
        elif kind is names.ASSERT or kind is names.ASSERT_NOT:
            yield from ((char, False) for char, _ in walked(value[1]))


def hostile(pattern: str | bytes, flags: int) -> Iterator[str]:
    """Texts of `SIZE` that are hard on ``pattern``, if any are."""
    named = list(walked(parser.parse(pattern, flags)))
    characters = list(dict.fromkeys(char for char, _ in named if char < "\u3000"))
    characters = characters[:MOST_CHARACTERS]
    word = "".join(char for char, is_in_text in named if is_in_text) or "a"
    for char in characters:
        yield char * SIZE
        yield word + char * SIZE + "\0"
    for first, second in itertools.islice(itertools.permutations(characters, 2), MOST_PAIRS):
        yield (first + second) * (SIZE // 2)
        yield first * (SIZE // 2) + second * (SIZE // 2)
    for end in range(1, min(len(word), MOST_BEGINNINGS) + 1):
        yield word[:end] * (SIZE // end)
    yield f"{word} " * (SIZE // (len(word) + 1))


def is_anchored(where: str) -> bool:
    """Whether a pattern that a module keeps is tried at one place of a text only."""
    if where.endswith((" match", " fullmatch")):
        return True
    module, _, name = where.rpartition(".")
    if module not in sys.modules:
        return False
    uses = re.findall(rf"\b{name}\b(?:\.(\w+))?", inspect.getsource(sys.modules[module]))
    return {"match", "fullmatch"}.issuperset(uses[1:])


def cost_secs(compiled: re.Pattern[Any], data: str | bytes, is_anchored: bool) -> float:
    begin = time.thread_time()
    if is_anchored:
        compiled.match(data)
    else:
        for _ in compiled.finditer(data):
            pass
    return time.thread_time() - begin


def slow(
    pattern: str | bytes, flags: int, most_secs: float, *, is_anchored: bool = False
) -> str | None:
    """The beginning of a text that takes nine times as long as a quarter of it, if there is one."""
    compiled: re.Pattern[Any] = re.compile(pattern, flags)
    for text in hostile(pattern, flags):
        data = text.encode("latin-1", "replace") if isinstance(pattern, bytes) else text
        if cost_secs(compiled, data, is_anchored) <= most_secs:
            continue
        part = min(cost_secs(compiled, data[: SIZE // 4], is_anchored) for _ in range(5))
        if min(cost_secs(compiled, data, is_anchored) for _ in range(5)) > GROWTH * part:
            return text[:40]
    return None


@pytest.mark.timeout(600)
def test_no_expression_of_ours_takes_longer_than_the_text_is_long() -> None:
    found = expressions()
    assert len(found) > 200
    most = allowed(MOST_SECS)
    bad = {}
    for (pattern, flags), where in found.items():
        if where in BOUNDED:
            continue
        text = slow(pattern, flags, most, is_anchored=is_anchored(where))
        if text is not None:
            bad[where] = (pattern, text)
    assert not bad


@pytest.mark.parametrize("pattern", [r"(?=[a-f-]*\d)x", r"\s+$"])
def test_an_expression_that_does_is_found(pattern: str) -> None:
    assert slow(pattern, re.UNICODE, allowed(MOST_SECS)) is not None
