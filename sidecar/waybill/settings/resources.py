"""The rules, the model and the configuration that come with Waybill, and where a path leads.

They are in the package as ``waybill/_defaults``; a checkout has them at its top. Only what is
listed here is found there: whatever else lies in a checkout is not what somebody's path means.
"""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path

#: What comes with Waybill, as relative paths: itself, or all that is below.
_PACKAGED = (Path("rules"), Path("models/default"))
_PACKS = Path("packs")
_PACKAGED_BELOW = (Path("config"), _PACKS)


def resolve_path(path: str) -> tuple[Path, bool]:
    """Where a configured path leads: (path, is_packaged).

    A relative path that does not exist below the working directory falls back to the copy that
    comes with Waybill, so that ``waybill serve`` works from any folder.
    """
    given = Path(path)
    if given.exists() or given.is_absolute():
        return given, False
    packaged = _packaged(given)
    if packaged is None:
        return given, False
    return packaged, True


def comes_along(path: str) -> bool:
    """Whether a configured path leads to what comes with Waybill."""
    packaged = _packaged(Path(path))
    return packaged is not None and packaged.samefile(resolve_path(path)[0])


def packs() -> list[tuple[str, Path]]:
    """The packs of the working directory and those that come with Waybill: the path that a setting
    would name, and the folder.
    """
    found: dict[str, Path] = {}
    root = _defaults()
    roots = [Path()] if root is None else [Path(), root]
    for top in roots:
        for labels in sorted((top / _PACKS).glob("*/labels.yaml")):
            found.setdefault(f"{_PACKS}/{labels.parent.name}", labels.parent)
    return sorted(found.items())


def hidden_copy(path: str) -> Path | None:
    """The packaged copy that a folder of the same relative ``path`` hides, or None."""
    given = Path(path)
    if given.is_absolute() or not given.exists():
        return None
    packaged = _packaged(given)
    if packaged is None or packaged.samefile(given):
        return None
    return packaged


def looked_for(path: str) -> str:
    """Where a relative path was looked for, to be put behind a message; "" for an absolute one."""
    if Path(path).is_absolute():
        return ""
    return f"; looked for {Path(path).absolute()}, as relative paths start at the working directory"


def _packaged(path: Path) -> Path | None:
    root = _defaults()
    if root is None or not _is_packaged(path) or not (root / path).exists():
        return None
    return root / path


def _is_packaged(path: Path) -> bool:
    if ".." in path.parts:
        return False
    return path in _PACKAGED or any(top in path.parents for top in _PACKAGED_BELOW)


@functools.cache
def _defaults() -> Path | None:
    """The folder with the packaged copies; None where nothing is packaged."""
    package = Path(str(resources.files("waybill")))
    installed = package / "_defaults"
    checkout = package.parents[1]
    if installed.is_dir():
        return installed
    if (checkout / "pyproject.toml").is_file():
        return checkout
    return None
