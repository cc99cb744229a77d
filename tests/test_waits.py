"""No test depends on how quick a machine is: what must come is waited for, what takes processor
time is held against a yardstick (`tests/effort.py`). Speed is measured by `make bench` and `make
stalls`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time"}
#: Seconds that a busy machine, three times slower, does not miss.
LONG_SECS = 30
#: Tools that measure, and the real peers, which `make test` does not start.
NOT_TESTS = {"chaos/greedy.py", "chaos/soak.py", "chaos/stalls.py", "peers"}


def _reads_clock(node: ast.AST) -> bool:
    for one in ast.walk(node):
        is_call = isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute)
        if is_call and one.func.attr in CLOCKS:  # type: ignore[attr-defined]
            return True
    return False


def _names_of_times(function: ast.AST) -> set[str]:
    """Names that hold a difference of two readings, and functions that give one."""
    found: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp | ast.Call):
            names = [one.id for one in node.targets if isinstance(one, ast.Name)]
            if any(isinstance(one, ast.Sub) for one in ast.walk(node.value)):
                found.update(names if _reads_clock(node.value) else ())
        elif isinstance(node, ast.FunctionDef) and node is not function:
            for one in ast.walk(node):
                if (
                    isinstance(one, ast.Return)
                    and one.value is not None
                    and _reads_clock(one.value)
                ):
                    found.add(node.name)
    return found


def _is_a_time(node: ast.AST, names: set[str]) -> bool:
    held = any(isinstance(one, ast.Name) and one.id in names for one in ast.walk(node))
    return held or _reads_clock(node)


def _bounds(function: ast.AST) -> Iterator[str]:
    """Asserts that something took less than a number."""
    names = _names_of_times(function)
    for node in ast.walk(function):
        if not isinstance(node, ast.Assert):
            continue
        for one in ast.walk(node.test):
            if not isinstance(one, ast.Compare):
                continue
            sides = [one.left, *one.comparators]
            for small, sign, large in zip(sides, one.ops, sides[1:], strict=False):
                if isinstance(sign, ast.Gt | ast.GtE):
                    small, large = large, small
                if not isinstance(sign, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
                    continue
                if _is_a_time(small, names) and "allowed(" not in ast.unparse(large):
                    yield ast.unparse(node)


def _expects_timeout(block: ast.AST) -> bool:
    """Whether nothing is expected to come within it."""
    if isinstance(block, ast.Try):
        return any("TimeoutError" in ast.unparse(one.type or one) for one in block.handlers)
    if not isinstance(block, ast.With | ast.AsyncWith):
        return False
    text = " ".join(ast.unparse(item.context_expr) for item in block.items)
    return "TimeoutError" in text and ("raises" in text or "suppress" in text)


def _short_waits(node: ast.AST, is_expected: bool = False) -> Iterator[str]:
    """``asyncio.timeout(2)`` and the like around what is expected to come."""
    is_expected = is_expected or _expects_timeout(node)
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "asyncio.timeout":
        value = node.args[0]
        is_long = isinstance(value, ast.Constant) and float(str(value.value)) >= LONG_SECS
        if not is_long and not is_expected:
            yield ast.unparse(node)
    for child in ast.iter_child_nodes(node):
        yield from _short_waits(child, is_expected)


def _functions() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted(TESTS.rglob("*.py")):
        name = path.relative_to(TESTS).as_posix()
        if name in NOT_TESTS or name.split("/")[0] in NOT_TESTS or path.name == "patience.py":
            continue
        for node in ast.parse(path.read_text()).body:
            inner = node.body if isinstance(node, ast.ClassDef) else [node]
            for one in inner:
                if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield f"{name}::{one.name}", one


@pytest.fixture(name="functions", scope="module")
def _parsed() -> list[tuple[str, ast.AST]]:
    return list(_functions())


def test_no_test_asserts_how_quick_something_is(functions: list[tuple[str, ast.AST]]) -> None:
    found = {name: bounds for name, one in functions if (bounds := list(_bounds(one)))}
    assert found == {}


def test_what_must_come_is_waited_for(functions: list[tuple[str, ast.AST]]) -> None:
    found = {name: waits for name, one in functions if (waits := list(_short_waits(one)))}
    assert found == {}


def test_what_is_looked_for_is_found() -> None:
    bad = ast.parse(
        "async def test():\n"
        "    begin = time.monotonic()\n"
        "    took = time.monotonic() - begin\n"
        "    assert took < 2\n"
        "    assert 5 > time.monotonic() - begin\n"
        "    async with asyncio.timeout(5): await come()\n"
    ).body[0]
    assert list(_bounds(bad)) == ["assert took < 2", "assert 5 > time.monotonic() - begin"]
    assert list(_short_waits(bad)) == ["asyncio.timeout(5)"]
    good = ast.parse(
        "async def test():\n"
        "    begin = time.monotonic()\n"
        "    assert time.thread_time() - begin < allowed(1)\n"
        "    assert time.monotonic() - begin > 1.5\n"
        "    async with asyncio.timeout(30): await come()\n"
        "    with pytest.raises(TimeoutError):\n"
        "        async with asyncio.timeout(0.1): await come()\n"
    ).body[0]
    assert list(_bounds(good)) + list(_short_waits(good)) == []
