"""Tests that failed are run once more, by themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.again import MOST, main

PASSES, FAILS = "def test_it():\n    pass\n", "def test_it():\n    raise AssertionError\n"


def failed(folder: Path, *tests: str) -> Path:
    """What pytest keeps after these tests failed."""
    names = {}
    for number, text in enumerate(tests):
        file = folder / f"test_{number}.py"
        file.write_text(text)
        names[f"{file}::test_it"] = True
    kept = folder / "lastfailed"
    kept.write_text(json.dumps(names))
    return kept


def test_what_passes_by_itself_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(1, failed(tmp_path, PASSES)) == 0
    assert "FLAKY" in capsys.readouterr().out


def test_what_fails_by_itself_fails(tmp_path: Path) -> None:
    assert main(1, failed(tmp_path, FAILS)) == 1


def test_many_or_other_ends_are_not_repeated(tmp_path: Path) -> None:
    assert main(1, failed(tmp_path, *[PASSES] * (MOST + 1))) == 1
    assert main(2, failed(tmp_path, PASSES)) == 2
    assert main(1, tmp_path / "none") == 1
