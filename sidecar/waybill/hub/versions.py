"""Versions ``v1.0``, ``v1.1``, ... and the sources that offer them: a repository or a folder.

>>> newest_first({"v1.2": "a", "v1.10": "b"})
['v1.10', 'v1.2']
>>> next_version(["v1.0", "v1.9"], is_major=False)
'v1.10'
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from waybill.core.labels import Taxonomy
from waybill.hub.outcome import HubError
from waybill.labelling.model.manifest import Manifest

__all__ = [
    "Offers",
    "Source",
    "is_version",
    "newest_first",
    "next_version",
    "number",
]

_VERSION = re.compile(r"v(\d{1,6})\.(\d{1,6})")

#: Each version and where its files lie in the source: a commit, or a folder.
Offers = Mapping[str, str]


class Source(Protocol):
    """Where versions of a model come from and go to. Each call raises HubError."""

    def offers(self) -> Offers:
        """The versions that are there, if any."""
        ...

    def prepare(self) -> None:
        """Make the place for versions if it is not there yet."""
        ...

    def fetch(self, place: str, part: Path, taxonomy: Taxonomy) -> None:
        """Bring the files of the bundle at ``place`` into the folder ``part``. Raises
        BundleError.
        """
        ...

    def publish(self, bundle: Path, manifest: Manifest, tag: str) -> None:
        """Add the files of ``bundle`` as the version ``tag``."""
        ...


def is_version(name: str) -> bool:
    """Whether a name has the form of a version."""
    return _VERSION.fullmatch(name) is not None


def number(version: str) -> tuple[int, int]:
    """Its major and minor number. Raises HubError (``no_version``)."""
    match = _VERSION.fullmatch(version)
    if match is None:
        raise HubError("no_version", f"{version}: not a version of the form v1.0")
    return int(match[1]), int(match[2])


def newest_first(names: Iterable[str]) -> list[str]:
    """The names, the newest version first."""
    return sorted(names, key=number, reverse=True)


def next_version(known: Sequence[str], *, is_major: bool) -> str:
    """The version that comes after the newest of ``known``."""
    if not known:
        return "v1.0"
    major, minor = number(newest_first(known)[0])
    if is_major:
        return f"v{major + 1}.0"
    return f"v{major}.{minor + 1}"
