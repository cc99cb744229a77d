"""Colours can be told apart from what is behind them, in both themes (WCAG 2: 4.5 for text, 3 for marks)."""

from __future__ import annotations

import itertools
import json
import math
import operator
import re
from pathlib import Path

import pytest

from tests.taxonomies import TEN
from waybill.core.labels import Label, Taxonomy, read_taxonomy
from waybill.web.labels import ANYWHERE, Face, faces
from waybill.web.templating import STATIC

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SEVERITY = read_taxonomy(ROOT / "packs/banking/labels.yaml")

PAIR = re.compile(r"(--[\w-]+): light-dark\(#(\w{6}), #(\w{6})\);")
FILE: Path = STATIC / "tokens.css"
THEMES = ("light", "dark")
SURFACES = ("--bg", "--surface", "--hover", "--selected")


def colours(theme: str) -> dict[str, str]:
    place = THEMES.index(theme) + 2
    return {found[1]: found[place] for found in PAIR.finditer(FILE.read_text())}


def luminance(colour: str) -> float:
    """Of WCAG 2.2, relative luminance."""
    red, green, blue = linear(colour)
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


#: How people see who lack one kind of cones, on linear RGB (Machado, Oliveira and Fernandes 2009).
SIGHTS = {
    "all": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "no red": ((0.1523, 1.0526, -0.2049), (0.1145, 0.7863, 0.0992), (-0.0039, -0.0481, 1.0520)),
    "no green": ((0.3673, 0.8606, -0.2280), (0.2801, 0.6725, 0.0474), (-0.0118, 0.0429, 0.9689)),
    "no blue": ((1.2555, -0.0767, -0.1788), (-0.0784, 0.9308, 0.1476), (0.0047, 0.6914, 0.3039)),
}
SLOTS = range(1, 11)


def linear(colour: str) -> list[float]:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    return [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]


def seen(colour: str, sight: str) -> tuple[float, float, float]:
    """``colour`` in CIE Lab, as it is seen."""
    rgb = [min(1.0, max(0.0, sum(map(operator.mul, row, linear(colour))))) for row in SIGHTS[sight]]
    to_xyz = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    white = (0.95047, 1.0, 1.08883)
    parts = [sum(map(operator.mul, row, rgb)) / of for row, of in zip(to_xyz, white, strict=True)]
    x, y, z = [p ** (1 / 3) if p > 0.008856 else 7.787 * p + 16 / 116 for p in parts]
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def taxonomy(*names: str) -> Taxonomy:
    labels = tuple(Label(name, name) for name in (*names, "Nothing"))
    return Taxonomy(labels, "Nothing")


def palettes() -> dict[str, list[str]]:
    found = {theme: [colours(theme)[f"--l{slot}-mark"] for slot in SLOTS] for theme in THEMES}
    return found | {"anywhere": [ANYWHERE[slot].removeprefix("#") for slot in SLOTS]}


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("palette", palettes())
def test_two_labels_have_colours_that_everybody_tells_apart(palette: str, sight: str) -> None:
    """A distance of 2 can be seen side by side; 10 is plain. Shape and code differ as well."""
    shown = [seen(colour, sight) for colour in palettes()[palette]]
    assert min(math.dist(one, other) for one, other in itertools.combinations(shown, 2)) >= 10


@pytest.mark.parametrize("behind", ["ffffff", "181b1f"])
def test_a_colour_for_any_theme_is_seen_on_white_and_on_black(behind: str) -> None:
    assert min(ratio(colour.removeprefix("#"), behind) for colour in ANYWHERE.values()) >= 2.99


@pytest.mark.parametrize("count", [3, 9, 10, 18, 30])
def test_no_two_labels_of_a_taxonomy_look_alike(count: int) -> None:
    named = [f"Payment {chr(65 + i % 26)}{i}" for i in range(count - 1)]
    shown = faces(taxonomy(*named)).in_order()
    assert len({(face.slot, face.turn) for face in shown}) == count
    assert len({face.code for face in shown}) == count
    assert {face.turn for face in shown[:9]} == {0}


def test_known_labels_keep_their_colour_in_every_taxonomy() -> None:
    for names in (("Fruit", "High", "Error", "Critical"), ("Critical", "Error", "Tool")):
        known = faces(taxonomy(*names))
        assert known["Critical"].slot == faces(TEN)["Critical Error"].slot
        slots = [face.slot for face in known.in_order()]
        assert len(set(slots)) == len(slots)
    assert faces(taxonomy("High", "Error"))["Error"] == Face("Error", "ERR", 1, "2")


def artefacts() -> dict[str, dict[str, str]]:
    """Of each chart by label in Grafana and Kibana, the colour of each label."""
    found: dict[str, dict[str, str]] = {}
    for file in (DEPLOY / "helm/waybill/files/dashboards").glob("*.json"):
        for panel in json.loads(file.read_text())["panels"]:
            if panel["targets"][0].get("legendFormat") in ("{{target_label}}", "{{label}}"):
                overrides = panel["fieldConfig"]["overrides"]
                found[f"{file.stem}: {panel['title']}"] = {
                    one["matcher"]["options"]: one["properties"][0]["value"]["fixedColor"]
                    for one in overrides
                }
    for line in (DEPLOY / "kibana/waybill.ndjson").read_text().splitlines():
        shown = json.loads(line)["attributes"]
        if "target_label" in shown.get("visState", ""):
            found[shown["title"]] = json.loads(shown["uiStateJSON"])["vis"]["colors"]
    return found


@pytest.mark.parametrize("chart", artefacts())
@pytest.mark.parametrize("labels", [TEN, SEVERITY], ids=["ten", "severity"])
def test_charts_elsewhere_have_the_colours_of_the_pages(chart: str, labels: Taxonomy) -> None:
    for face in faces(labels).in_order():
        assert artefacts()[chart][face.name] == ANYWHERE[face.slot]
