"""Patterns that make backtracking engines run for ever decide hostile lines at once, or are
switched off.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.taxonomies import LABELS
from waybill.labelling.rules.loading import load_ruleset

CORES = (
    "(a+)+",
    "(a*)*",
    "(a|a)*",
    "(a|aa)+",
    "(.*a){12}",
    "(a+a+)+",
    "([a-z]+)*",
    "(a?){25}a{25}",
    "(a|a?)+",
    "(x+x+)+y",
)
FRAMES = ("^{}$", "^{}b$", "{}!", "^ {}[^a]$", "(?=a){}$", "{}(?!b)c")
PATTERNS = [frame.format(core) for core in CORES for frame in FRAMES]
HOSTILE = [
    "a" * 50 + "!",
    "a" * 30_000 + "b!",
    "x" * 30_000,
    "aa b" * 5000,
    " " * 20_000 + "a",
    "ab" * 20_000 + "\n",
    "é" * 9000,
    "",
]


async def test_no_hostile_line_holds_a_bad_pattern_up(tmp_path: Path) -> None:
    assert len(PATTERNS) >= 50
    rules = [
        {"id": f"bad-{i}", "label": "Error", "pattern": pattern, "mode": "shadow"}
        for i, pattern in enumerate(PATTERNS)
    ]
    rules.append({"id": "good", "label": "Error", "pattern": "needle"})
    (tmp_path / "a.yaml").write_text(json.dumps({"rules": rules}))
    found = await load_ruleset([tmp_path], labels=LABELS)
    for line in HOSTILE * 3:
        assert found.first_match(line, None) is None
        rule = found.first_match(f"needle {line}", None)
        assert rule is not None
        assert rule.id == "good"
