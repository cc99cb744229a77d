"""The model card's figures that the bundle itself records are the bundle's."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.docs.blocks import ROOT

PAGE = (ROOT / "docs/model-card.md").read_text()
METRICS: dict[str, Any] = json.loads((ROOT / "models/default/manifest.json").read_text())["metrics"]


def value(row: str) -> str:
    """The second cell of the row that begins with ``row``."""
    found = re.search(rf"^\| {re.escape(row)}[^|]*\| ([^|]+) \|", PAGE, re.MULTILINE)
    assert found, row
    return found[1]


@pytest.mark.parametrize(
    ("row", "measure"),
    [
        ("software that was not in the training part", "held_out_software"),
        ("templates that were not", "held_out_templates"),
    ],
)
def test_held_out_figures(row: str, measure: str) -> None:
    found = METRICS[measure]
    names = ("accuracy", "macro_f1", "calibration_error")
    assert value(row) == ", ".join(f"{found[name]:.3f}" for name in names)


def test_figures_of_unclassified() -> None:
    known = METRICS["held_out_templates"]["known_unclassified"]
    assert value("known lines of unseen templates") == f"{known:.1%}".replace("%", " %")
    fragments = METRICS["fragments_unclassified"]["all"]
    assert value("300 generated fragments") == f"{fragments:.1%}".replace("%", " %")
