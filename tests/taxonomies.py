"""The taxonomies of the tests: the ten labels that come with Waybill, and three of somebody else."""

from __future__ import annotations

from pathlib import Path

from waybill.core.labels import Label, Taxonomy, read_taxonomy

TEN = read_taxonomy(Path(__file__).parents[1] / "config" / "labels.yaml")
LABELS = TEN.names
UNCLASSIFIED = TEN.fallback

#: Shares no label with `TEN`.
TOY = Taxonomy(
    (
        Label("Fruit", "something sweet that grows"),
        Label("Tool", "something to work with"),
        Label("Neither", "no fruit and no tool"),
    ),
    "Neither",
)
#: A labelling beside the ten.
SEVERITY_YAML = """\
fallback: Unclassified
labels:
  - {name: High, description: bad}
  - {name: Low, description: not so bad}
  - {name: Unclassified, description: nothing}
"""
TOY_YAML = """\
fallback: Neither
labels:
  - {name: Fruit, description: something sweet that grows}
  - {name: Tool, description: something to work with}
  - {name: Neither, description: no fruit and no tool}
"""
