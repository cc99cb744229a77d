"""Imports point down only, and in no circle.

Every import counts, wherever it stands, and so does a module that is started as a child process:
its name is a string in the code.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "sidecar"
#: From the bottom to the top; what shares a row does not know its neighbour.
LAYERS = (
    ("core",),
    ("settings",),
    ("ops",),
    ("wire", "labelling"),
    ("patterns",),
    ("handback",),
    ("flow",),
    ("ingest",),
    ("api",),
    ("hub",),
    ("service",),
    ("library",),
    ("learn",),
    ("web",),
    ("cli",),
    ("", "__main__"),
)
RANKS = {name: rank for rank, row in enumerate(LAYERS) for name in row}


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Each module's dotted name and its file."""
    found = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        found[".".join(parts)] = path
    return found


def layer_of(module: str) -> str:
    """The layer of a module: the first part of its name behind the package's."""
    return module.split(".")[1] if "." in module else ""


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Every name that a module imports, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def texts(tree: ast.AST) -> Iterator[str]:
    """Every text: one that is the dotted name of a module starts it as a child process."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of ours that a file imports or starts."""
    tree = ast.parse(path.read_text("utf-8"))
    found = {text for text in texts(tree) if text in known and "." in text}
    for name in imported_names(tree):
        for module in (name, name.rpartition(".")[0]):
            if module in known:
                found.add(module)
                break
    return found


@cache
def graph(root: Path = ROOT) -> dict[str, set[str]]:
    """What each module imports."""
    known = modules(root)
    return {name: imports(path, known) - {name} for name, path in sorted(known.items())}


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules that reach each other."""
    reach: dict[str, set[str]] = {}
    for start in edges:
        seen: set[str] = set()
        waiting = list(edges[start])
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += edges[name]
        reach[start] = seen
    groups = set()
    for name in edges:
        if name in reach[name]:
            groups.add(tuple(sorted(other for other in reach[name] if name in reach[other])))
    return [list(group) for group in sorted(groups)]


def climbs(edges: dict[str, set[str]]) -> list[tuple[str, str]]:
    """The imports that point up or sideways."""
    found = []
    for module, imported in edges.items():
        for other in imported:
            own, theirs = layer_of(module), layer_of(other)
            if own != theirs and RANKS[theirs] >= RANKS[own]:
                found.append((module, other))
    return found


def test_every_folder_has_its_layer() -> None:
    assert {layer_of(module) for module in modules()} == set(RANKS)


def test_imports_point_down() -> None:
    assert climbs(graph()) == []


def test_no_module_is_in_a_circle() -> None:
    assert circles(graph()) == []


@pytest.mark.parametrize(
    ("text", "imported"),
    [
        ("import waybill.core.a", {"waybill.core.a"}),
        ("from waybill.core import a", {"waybill.core.a"}),
        ("from waybill.core.a import Thing", {"waybill.core.a"}),
        ("def f():\n    from waybill.core.a import Thing", {"waybill.core.a"}),
        ("if TYPE_CHECKING:\n    import waybill.core.a as b", {"waybill.core.a"}),
        ("run(['python', '-m', 'waybill.core.a'])", {"waybill.core.a"}),
        ("import waybill", {"waybill"}),
        ("'''Like waybill.core.a, but not it.'''", set()),
    ],
)
def test_every_way_to_import_is_seen(text: str, imported: set[str], tmp_path: Path) -> None:
    known = dict.fromkeys(("waybill", "waybill.core", "waybill.core.a"), tmp_path)
    (tmp_path / "m.py").write_text(text)
    assert imports(tmp_path / "m.py", known) == imported


def test_what_climbs_and_what_goes_in_circles_is_found() -> None:
    edges = {
        "waybill.core.a": {"waybill.core.b"},
        "waybill.core.b": {"waybill.core.a"},
        "waybill.wire.c": {"waybill.labelling.d", "waybill.core.a"},
        "waybill.labelling.d": {"waybill.flow.e"},
        "waybill.flow.e": set(),
    }
    assert circles(edges) == [["waybill.core.a", "waybill.core.b"]]
    assert climbs(edges) == [
        ("waybill.wire.c", "waybill.labelling.d"),
        ("waybill.labelling.d", "waybill.flow.e"),
    ]
