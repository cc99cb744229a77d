"""Code blocks of the documentation, and what a test does with each.

A comment before a block says what is done: ``<!-- test: run -->``. Verbs:

=================  ====================================================================
``run``            a shell block is run; it must end with 0
``serve``          the last command serves: it is started, must become ready, and is stopped later
``output``         what the block before printed; ``...`` stands for anything
``file NAME``      the block is written to that file
``same NAME``      the block is that file of the repository, word for word
``python``         the block is executed
``rules``          the block is a file of rules that the rule compiler takes
``labels``         the block is a taxonomy that can be read
``labelled NAME``  what the lines of that file get as labels
``fluent-bit``     a configuration of Fluent Bit, or (``fluent-bit run``) its start
``make``           every command is a target of the Makefile
``skip, REASON``   nothing is done
=================  ====================================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
#: Where every shell and Python block says what is done with it.
COMPLETE = (ROOT / "README.md", ROOT / "docs" / "tutorial.md", ROOT / "docs/connect/others.md")
_BLOCK = re.compile(
    r"(?:^<!-- test: (?P<verb>.*?) -->\n)?^```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One fenced block: ``verb`` is the first word of its comment, ``detail`` the rest."""

    page: Path
    line: int
    language: str
    verb: str
    detail: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of ``page``, in order."""
    source = page.read_text()
    found = []
    for match in _BLOCK.finditer(source):
        verb, _, detail = (match["verb"] or "").partition(" ")
        line = source.count("\n", 0, match.start()) + 1
        found.append(
            Block(page, line, match["language"], verb.rstrip(","), detail.strip(), match["text"])
        )
    return found


def prose(page: Path) -> str:
    """The text of ``page`` without its fenced blocks."""
    return _BLOCK.sub("", page.read_text())
