"""Links from the pages to files of the repository, which the site does not hold.

In a checkout and on a forge `[x](../config/x.yaml)` leads to the file. On the site it leads to the
repository that `[project.urls]` names; without one only the text stays.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+[^)\s#]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    """The page with links to files outside ``docs/`` replaced."""
    folder = posixpath.dirname(page.file.src_uri)

    def replace(link: re.Match[str]) -> str:
        text, target, anchor = link.groups()
        path = posixpath.normpath(posixpath.join("docs", folder, target))
        if path.startswith("docs/"):
            return link[0]
        if not _REPOSITORY:
            return text
        return f"[{text}]({_REPOSITORY}/blob/main/{path}{anchor or ''})"

    return _LINK.sub(replace, markdown)


def _repository() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    urls = {name.lower(): url for name, url in project.get("urls", {}).items()}
    address: str = urls.get("repository") or urls.get("source") or ""
    return address.rstrip("/")


_REPOSITORY = _repository()
