"""The words that the pages use: one per thing, and no private ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT, prose

#: A private or archaic word, and what is said instead.
INSTEAD = {
    r"\bbeget": "cause",
    r"\bshun(s|ned)?\b": "quarantine",
    r"\bborders? of\b": "threshold",
    r"\blaborious": "slow",
    r"\bstrangers'": "of others",
    r"\bdrips?\b": "is slow",
    r"\bmendable\b": "can be corrected",
    r"\blest\b": "so that not",
    r"\bwhilst\b": "while",
    r"\bwhichever\b": "any",
    r"\b(that|which) (is|are) none\b": "what it is not",
    r"\bas ever\b": "as usual",
}
READ = (
    *PAGES,
    *(ROOT / "config").rglob("*.yaml"),
    *filter(Path.is_file, (ROOT / "examples").rglob("*.*")),
    ROOT / "deploy/helm/waybill/values.yaml",
    ROOT / "deploy/helm/waybill/files/alerts.yaml",
)


@pytest.mark.parametrize("page", READ, ids=lambda page: str(page.relative_to(ROOT)))
def test_private_words_are_replaced(page: Path) -> None:
    text = page.read_text()
    for word, instead in INSTEAD.items():
        assert not re.search(word, text, re.IGNORECASE), f"{word}: say {instead}"


def test_code_says_so_too() -> None:
    for file in (ROOT / "sidecar/waybill").rglob("*.py"):
        for word, instead in INSTEAD.items():
            found = re.search(word, file.read_text())
            assert not found, f"{file}: {found and found[0]}: say {instead}"


def test_every_word_is_once_in_the_glossary_and_in_order() -> None:
    text = (ROOT / "docs/glossary.md").read_text()
    words = re.findall(r"^\| ([a-z][^|]*?) \|", text, re.MULTILINE)[1:]
    assert words == sorted(set(words))


def test_lines_of_prose_are_short() -> None:
    for page in PAGES:
        if page.name == "settings.md":
            continue
        for line in prose(page).splitlines():
            if not line.startswith(("|", "!", "<", "[")) and " " in line.strip():
                assert len(line) <= 110, f"{page.name}: {line}"
