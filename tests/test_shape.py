"""The shape of the code, held: short modules and functions, few branches, lines of 100 characters."""

from __future__ import annotations

import statistics

import pytest

from tests.shape import CODE, ROOT, Shape, measure

#: At most so many of them in 1,000 lines.
CONDITIONALS = 10.0
COMPREHENSIONS = 13.5
ANYS = 5.0
FUNCTION_LINES = 40
MODULE_LINES = 350
TEST_MODULE_LINES = 400
COMPLEXITY_SHARE = 0.02


@pytest.fixture(name="shape", scope="module")
def _shape() -> Shape:
    return measure(CODE)


def test_no_module_is_long_and_a_typical_one_fits_on_two_pages(shape: Shape) -> None:
    assert {name: n for name, n in shape.modules.items() if n > MODULE_LINES} == {}
    # What only names a package is no module to read.
    assert 90 <= statistics.median(n for n in shape.modules.values() if n > 3) <= 150


def test_no_test_module_is_long() -> None:
    lengths = {
        path: len(path.read_text("utf-8").splitlines()) for path in (ROOT / "tests").rglob("*.py")
    }
    assert {str(path): n for path, n in lengths.items() if n > TEST_MODULE_LINES} == {}


def test_no_function_is_long(shape: Shape) -> None:
    assert {name: n for name, n in shape.functions.items() if n > FUNCTION_LINES} == {}


def test_hardly_any_function_has_many_branches(shape: Shape) -> None:
    worst = {name: n for name, n in shape.complexity.items() if n > 10}
    assert shape.complex_share() <= COMPLEXITY_SHARE, worst


def test_conditional_expressions_and_comprehensions_are_rare(shape: Shape) -> None:
    assert shape.per_thousand(shape.conditionals) <= CONDITIONALS
    assert shape.per_thousand(shape.comprehensions) <= COMPREHENSIONS


def test_the_type_any_is_rare(shape: Shape) -> None:
    assert shape.per_thousand(shape.anys) <= ANYS


def test_no_line_is_long(shape: Shape) -> None:
    assert shape.long_lines == []
