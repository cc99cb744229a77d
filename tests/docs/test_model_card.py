"""The model card's figures that the bundle itself records are the bundle's."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.docs.blocks import ROOT

PAGE = (ROOT / "docs/model-card.md").read_text()
METRICS: dict[str, Any] = json.loads((ROOT / "models/default/manifest.json").read_text())["metrics"]


def value(row: str) -> str:
    """The second cell of the row that begins with ``row``."""
    found = re.search(rf"^\| {re.escape(row)}[^|]*\| ([^|]+) \|", PAGE, re.MULTILINE)
    assert found, row
    return found[1]


def test_held_out_figures_are_those_of_the_bundle() -> None:
    found = METRICS["held_out_software"]
    names = ("accuracy", "macro_f1", "calibration_error")
    told = ", ".join(f"{found[name]:.3f}" for name in names)
    assert value("software that neither encoder nor classifier was trained on") == told


def test_figures_of_unclassified_are_those_of_the_bundle() -> None:
    known = METRICS["held_out_software"]["known_unclassified"]
    assert value("known lines of that software") == f"{known:.1%}".replace("%", " %")
    fragments = METRICS["fragments_unclassified"]["all"]
    assert value("300 generated fragments") == f"{fragments:.1%}".replace("%", " %")
