"""Each promise names tests that are there."""

from __future__ import annotations

import re

import pytest

from tests.docs.blocks import ROOT

#: Pages whose tables name the tests that hold what they promise.
PAGES = ("promises.md", "reliability.md")
_NAME = re.compile(r"`(test_\w+)`")
_PATH = re.compile(r"`(tests/[\w/]+(?:\.py)?)`")
_ROW = re.compile(r"^\| (?!promise |rule )[^|]+\|([^|]+)\|$", re.MULTILINE)


@pytest.fixture(name="tests", scope="module")
def _tests() -> set[str]:
    """The names of all tests."""
    found: set[str] = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        found.update(re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE))
    return found


@pytest.mark.parametrize("page", PAGES)
def test_the_tests_that_a_page_names_are_there(page: str, tests: set[str]) -> None:
    text = (ROOT / "docs" / page).read_text()
    names = _NAME.findall(text)
    assert names
    assert sorted(set(names) - tests) == []
    missing = [path for path in _PATH.findall(text) if not (ROOT / path).exists()]
    assert missing == []


def test_every_promise_names_one() -> None:
    rows = _ROW.findall((ROOT / "docs/promises.md").read_text())
    held = [row for row in rows if set(row.strip()) - set("- ")]
    assert len(held) > 15
    assert [
        row for row in held if not (_NAME.search(row) or _PATH.search(row) or "held" in row)
    ] == []
