"""The source that a name stands for: a folder, or a repository."""

from __future__ import annotations

from pathlib import Path

from waybill.hub.folder import FolderSource
from waybill.hub.outcome import HubError
from waybill.hub.repository import RepositorySource
from waybill.hub.versions import Source, newest_first

__all__ = ["open_source", "versions"]

#: A source that begins so is a folder, whether it is there or not.
_FOLDER_STARTS = ("/", ".", "~")


def open_source(name: str, endpoint: str | None = None, *, is_public: bool = False) -> Source:
    """The folder or the repository of that name; a repository that is made is private or
    ``is_public``. Raises HubError (``not_found``) for what can be neither.
    """
    folder = Path(name).expanduser()
    if name.startswith(_FOLDER_STARTS) or folder.is_dir():
        return FolderSource(folder)
    if "/" not in name:
        raise HubError(
            "not_found",
            f"{name}: there is no such folder, and a repository is owner/name; "
            f"a folder that is to be made is ./{name}",
        )
    return RepositorySource(name, endpoint, is_public=is_public)


def versions(source: str, *, endpoint: str | None = None) -> list[str]:
    """The versions of a repository or folder, oldest first. Raises HubError."""
    return newest_first(open_source(source, endpoint).offers())[::-1]
