"""Every link within the repository leads somewhere, anchors included."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT, prose

LINKED = (
    *PAGES,
    *(page for page in sorted(ROOT.glob("*.md")) if page.name != "README.md"),
    ROOT / "examples/README.md",
    ROOT / "deploy/helm/waybill/README.md",
)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of ``page``, as forges and MkDocs name them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", text).strip()))
    return found


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for match in _LINK.findall(prose(page)):
        link = match[0] or match[1]
        if re.match(r"https?:|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def test_pages_link_to_nothing_outside_the_repository_folder() -> None:
    for page in LINKED:
        for match in _LINK.findall(prose(page)):
            link = (match[0] or match[1]).partition("#")[0]
            if link and not re.match(r"https?:|mailto:", link):
                assert (page.parent / link).resolve().is_relative_to(ROOT)


def test_every_page_is_in_the_site() -> None:
    listed = set(
        re.findall(r"[\w/-]+\.md", (ROOT / "docs/site/mkdocs.yml").read_text().split("nav:")[1])
    )
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert listed == pages


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs/decisions"
    listed = set(re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "index.md").read_text()))
    assert listed == {page.name for page in folder.glob("[0-9]*.md")}


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 180
