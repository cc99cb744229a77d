"""The tree of values as the sources gave them, and its conversion to `Settings`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

import msgspec
from msgspec.structs import FieldInfo

from waybill.core.errors import WaybillError
from waybill.settings.catalogue import catalogue, describe, nested
from waybill.settings.convert import RefusedError, convert, show
from waybill.settings.problems import Findings, Problem, suggest
from waybill.settings.schema import Section, Settings
from waybill.settings.strange_keys import advice_for, nested_example, plain_key

S = TypeVar("S", bound=Section)


#: What a key at the top begins with that holds what others take over by ``<<``, as in rule files.
_PRIVATE = "x-"


class Tree:
    """Values by key, section in section; where each came from, and what is wrong."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self.findings = Findings()
        self.origins: dict[str, str] = {}

    def put(self, path: str, value: object, origin: str) -> None:
        """Set the value at a dotted path; ``origin`` is the variable or flag that gives it."""
        values = self.values
        *sections, key = path.split(".")
        for section in sections:
            below = values.setdefault(section, {})
            if below is None:
                below = values[section] = {}
            if not isinstance(below, dict):
                # That it is no mapping is said when the tree is read.
                return
            values = below
        values[key] = value
        self.origins[path] = origin

    def take(self, path: str) -> object:
        """Remove and give the value at ``section.key``; None without one."""
        section, _, key = path.partition(".")
        values = self.values.get(section)
        return values.pop(key, None) if isinstance(values, dict) else None

    def refuse(self, path: str, text: str) -> None:
        """Note that the value at ``path`` cannot be used."""
        self.findings.add(Problem(path, text))

    def placed(self, problem: Problem) -> Problem:
        """``problem`` with the variable or the line of a file that its value came from."""
        origin = self.origins.get(problem.path, "")
        if not origin or origin.startswith("--set"):
            return problem
        return Problem(problem.path, f"{problem.text} (from {origin})")


def read_tree(tree: Tree) -> Settings:
    """The settings of a tree; what cannot be used is noted in it, and leaves its default."""
    settings = _read_section(tree, Settings, tree.values, "")
    assert settings is not None, "no section of the settings has required fields"
    return settings


def _read_section(tree: Tree, kind: type[S], value: object, path: str) -> S | None:
    """A section; None when a required field is missing or refused."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    values = _mapping(tree, value, path)
    given: dict[str, object] = {}
    for key, item in values.items():
        if key in fields:
            _read_field(tree, fields[key], item, _below(path, key), given)
        elif path or not str(key).startswith(_PRIVATE):
            _refuse_key(tree, path, str(key), item, fields)
    for key, field in fields.items():
        if field.required and key not in values:
            tree.refuse(_below(path, key), "is missing")
    if any(field.required and field.name not in given for field in fields.values()):
        return None
    return kind(**given)


def _refuse_key(tree: Tree, path: str, key: str, value: object, known: Collection[str]) -> None:
    meant = suggest("" if "." in key else plain_key(key), known)
    told = str(meant) or advice_for(key, value, known)
    paths = [_below(path, word) for word in meant.words]
    if not path:  # what is meant may be any setting of the section that it begins with
        paths.append(plain_key(key).removeprefix("waybill_").partition(".")[0].partition("_")[0])
    tree.findings.add(Problem(_below(path, key), f"no such key{told}"), *paths)


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _mapping(tree: Tree, value: object, path: str) -> Mapping[object, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        tree.refuse(path, f"expected a mapping, got {show(value)}{_instead(path, value)}")
        return {}
    return value


def _read_field(
    tree: Tree, field: FieldInfo, value: object, path: str, given: dict[str, object]
) -> None:
    """Put the value of a field into ``given``, unless it is refused."""
    inner = nested(field)
    if inner is not None:
        given[field.name] = _read_section(tree, inner, value, path)
        return
    setting = describe(field, path)
    try:
        if setting.element is not None and isinstance(value, list):
            given[field.name] = convert(setting, _read_elements(tree, setting.element, value, path))
        else:
            given[field.name] = convert(setting, value)
    except RefusedError as error:
        tree.refuse(path, str(error))
    except _RefusedElementError:
        pass


class _RefusedElementError(WaybillError):
    """An element of a list was refused, and that was noted."""


def _read_elements(
    tree: Tree, kind: type[Section], values: list[object], path: str
) -> list[Section]:
    found: list[Section] = []
    for i, value in enumerate(values):
        before = len(tree.findings.problems)
        section = _read_section(tree, kind, value, f"{path}[{i}]")
        if section is not None and len(tree.findings.problems) == before:
            found.append(section)
    if len(found) < len(values):
        raise _RefusedElementError
    return found


def _instead(path: str, value: object) -> str:
    """What to do with what was given instead of a section."""
    if path == "labels" and isinstance(value, list):
        return ". This is a file of labels: name it in labels.path"
    if path == "rules" and isinstance(value, list):
        return ". This is a file of rules: put it into a folder of rules.path or rules.extra_paths"
    if isinstance(value, str) and ":" in value:
        return "; put a blank (no U+00A0) behind each colon"
    for name in catalogue():
        if name.startswith(f"{path}."):
            return f"; {nested_example(name)}"
    return ""
