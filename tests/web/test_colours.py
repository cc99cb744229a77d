"""Colours can be told apart from what is behind them, in both themes (WCAG 2: 4.5 for text, 3 for marks)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from waybill.web.templating import STATIC

PAIR = re.compile(r"(--[\w-]+): light-dark\(#(\w{6}), #(\w{6})\);")
FILE: Path = STATIC / "tokens.css"
THEMES = ("light", "dark")
SURFACES = ("--bg", "--surface", "--hover", "--selected")


def colours(theme: str) -> dict[str, str]:
    place = THEMES.index(theme) + 2
    return {found[1]: found[place] for found in PAIR.finditer(FILE.read_text())}


def luminance(colour: str) -> float:
    """Of WCAG 2.2, relative luminance."""
    parts = []
    for at in (0, 2, 4):
        part = int(colour[at : at + 2], 16) / 255
        parts.append(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
    red, green, blue = parts
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ratio(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("text", ["--text", "--text-2", "--link", "--danger", "--ok", "--warn"])
def test_text_can_be_read_on_every_surface(theme: str, text: str) -> None:
    known = colours(theme)
    assert min(ratio(known[text], known[surface]) for surface in SURFACES) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("label", [*map(str, range(1, 11)), "u"])
def test_a_label_can_be_read_and_its_mark_seen(theme: str, label: str) -> None:
    known = colours(theme)
    assert ratio(known[f"--l{label}-fg"], known[f"--l{label}-bg"]) >= 4.5
    marks = [ratio(known[f"--l{label}-mark"], known[surface]) for surface in SURFACES]
    assert min(marks) >= 3
