"""Checks of `labellings`: own names and fields, labels that can be read, routes that fit."""

from __future__ import annotations

from collections.abc import Iterator

from waybill.core.errors import ConfigError
from waybill.core.labels import Taxonomy
from waybill.settings.check import Check
from waybill.settings.labellings import fields_of, labels_path, names_added
from waybill.settings.problems import Problem, suggest
from waybill.settings.resources import looked_for, resolve_path
from waybill.settings.schema import FieldSettings, LabellingSettings, RouteSettings, Settings
from waybill.settings.taxonomy import read_labels


def check_names(settings: Settings) -> Iterator[Problem]:
    """No two labellings have one name."""
    seen: set[str] = set()
    for i, labelling in enumerate(settings.labellings):
        if labelling.name in seen:
            yield Problem(f"labellings[{i}].name", f"{labelling.name!r} is there twice")
        seen.add(labelling.name)


def check_fields(settings: Settings) -> Iterator[Problem]:
    """No field is added twice, and none takes the place of what is read."""
    added: dict[str, str] = {}
    for name in names_added([settings.fields]):
        added[name] = "fields"
    read = _names_read(settings.fields)
    for i, labelling in enumerate(settings.labellings):
        for name in names_added([fields_of(labelling, settings.fields)]):
            place = f"labellings[{i}].field"
            if name in added:
                yield Problem(
                    place, f"{name!r} is added by {added[name]}, too; give it a field of its own"
                )
            elif name in read:
                yield Problem(
                    place,
                    f"{name!r} is where {read[name]} reads; a record would lose its own value or "
                    "never get the label. Give it another field",
                )
            added.setdefault(name, f"labellings[{i}]")


def _names_read(fields: FieldSettings) -> dict[str, str]:
    """The top-level names that are read of records, each with the setting that says so."""
    names: dict[str, str] = {}
    places = (
        ("fields.message", fields.message),
        ("fields.source", fields.source),
        ("fields.time", fields.time),
    )
    for setting, paths in places:
        for path in paths:
            names.setdefault(path, setting)
    return names


def check_parts(settings: Settings) -> Iterator[Problem]:
    """Labels can be read, paths lead somewhere, and somebody can decide."""
    for i, labelling in enumerate(settings.labellings):
        place = f"labellings[{i}]"
        yield from _paths(labelling, place)
        path = labels_path(labelling)
        if path is None:
            if labelling.pack is None:
                yield Problem(place, "needs labels (a file) or pack (a folder with labels.yaml)")
            continue
        try:
            taxonomy = read_labels(path)
        except ConfigError as error:
            for problem in error.problems:
                yield Problem(f"{place}.labels", problem.removeprefix("labels.path: "))
            continue
        for number, route in enumerate(labelling.routes):
            yield from _route(route, f"{place}.routes[{number}]", taxonomy)
        if "*" not in labelling.routes[-1].source:
            yield Problem(
                f"{place}.routes", 'the last route must catch every source (source: ["*"])'
            )


def _paths(labelling: LabellingSettings, place: str) -> Iterator[Problem]:
    """The folders that are named are there."""
    named = (
        ("pack", labelling.pack),
        ("rules", labelling.rules),
        ("model", labelling.model),
    )
    for key, path in named:
        if path is not None and not resolve_path(path)[0].is_dir():
            yield Problem(f"{place}.{key}", f"no such folder: {path}{looked_for(path)}")
    pack = labelling.pack
    if pack is not None and resolve_path(pack)[0].is_dir() and labels_path(labelling) is None:
        yield Problem(
            f"{place}.pack",
            f"{pack} has no labels.yaml; name a file of labels in {place}.labels",
        )


def _route(route: RouteSettings, place: str, taxonomy: Taxonomy) -> Iterator[Problem]:
    if "llm" in route.tiers:
        yield Problem(
            f"{place}.tiers",
            "a language model is asked for the first labelling only; use rules and model",
        )
    if "rules" in route.tiers[1:]:
        yield Problem(f"{place}.tiers", "rules come first, what they decide is final")
    if len(set(route.tiers)) != len(route.tiers):
        yield Problem(f"{place}.tiers", "a tier is named twice")
    for label in route.labels or ():
        if label not in taxonomy:
            yield Problem(
                f"{place}.labels",
                f"no such label {label!r}{suggest(label, taxonomy.names)}; the labels are "
                f"{', '.join(taxonomy.names)}",
            )


LABELLING_CHECKS = (
    Check(("labellings",), check_names),
    Check(("labellings", "fields"), check_fields),
    Check(("labellings",), check_parts),
)
