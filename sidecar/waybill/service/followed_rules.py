"""The folder of rule files that came from a workbench: one folder a version, ``current`` in force.

    followed-rules/3f0c.../50-workbench.yaml
                   .91ab....part/              not checked yet
                   current -> 3f0c...

Whole versions only: a process that is killed at any moment leaves the version before it in force.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from waybill.core.output import point_link
from waybill.labelling.rules.texts import texts_version
from waybill.settings.schema import Settings

__all__ = ["FollowedFolder", "followed_folder"]

_CURRENT = "current"


def followed_folder(settings: Settings) -> Path | None:
    """The folder of followed rule files that is in force; None where none ever came.

    Named by itself, not by the link: a load must not see two versions.
    """
    if settings.rules.follow.source is None:
        return None
    current = Path(settings.rules.follow.into) / _CURRENT
    return current.resolve() if current.is_dir() else None


class FollowedFolder:
    """Keeps versions in ``into``."""

    def __init__(self, into: Path) -> None:
        self._into = into

    def version(self) -> str:
        """The version in force; empty for none."""
        link = self._into / _CURRENT
        return link.readlink().name if link.is_symlink() else ""

    def stage(self, files: Mapping[str, str]) -> Path:
        """A folder with ``files``, not in force. Raises OSError."""
        version = texts_version(files)
        part = self._into / f".{version}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name, text in files.items():
            with (part / name).open("wb") as file:
                file.write(text.encode("utf-8", "replace"))
                file.flush()
                os.fsync(file.fileno())
        return part

    def keep(self, staged: Path) -> None:
        """Put in force what was staged, and forget all others. Raises OSError."""
        version = staged.name[1:].removesuffix(".part")
        target = self._into / version
        if self.version() != version:
            shutil.rmtree(target, ignore_errors=True)
            staged.rename(target)
            point_link(self._into / _CURRENT, version)
        for entry in self._into.iterdir():
            if entry.name not in (version, _CURRENT):
                shutil.rmtree(entry, ignore_errors=True)

    def drop(self, staged: Path) -> None:
        """Forget what was staged."""
        shutil.rmtree(staged, ignore_errors=True)
