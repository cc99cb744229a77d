"""Discovery end to end: from lines to rules that the engine takes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import yaml

from waybill.cli.main import main
from waybill.core.correction import encode_correction, new_correction
from waybill.core.pattern import Pattern, encode, pattern_id
from waybill.labelling.masking import mask
from waybill.labelling.rules.loading import load_ruleset
from waybill.settings.schema import Settings
from waybill.settings.taxonomy import read_labels

NO_RULES = "rules: []\n"
SECRET = "password=hunter2hunter2"


def lines() -> list[tuple[str, str]]:
    """Forms of many records, one of few, and one of which people say two things."""
    found = []
    for n in range(6):
        found.append(("shop", f"User User{n} logged in."))
        found.append(("shop", f"User User{n} logged out."))
        found.append(("pump", f"zorblax flange {n} recalibrated by quorn with {SECRET}{n}"))
        found.append(("pump", f"frobnitz manifold {n} drained into sump {n}"))
    found.append(("shop", "Backup completed successfully."))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("discover")
    (folder / "none").mkdir()
    (folder / "none" / "none.yaml").write_text(NO_RULES)
    text = "".join(json.dumps({"source": source, "log": line}) + "\n" for source, line in lines())
    (folder / "lines.ndjson").write_text(text)
    corrections = [
        new_correction(mask(line), "System Notification")
        for _, line in lines()
        if "zorblax" in line
    ]
    (folder / "c.ndjson").write_bytes(b"".join(map(encode_correction, corrections[:1])))
    return folder


def discover(folder: Path, origin: str, *more: str) -> list[dict[str, object]]:
    out = folder / "out" / "proposed.yaml"
    out.parent.mkdir(exist_ok=True)
    given = ("rules", "discover", "--from", str(folder / origin), "-o", str(out))
    assert main([*given, "--set", f"rules.path={folder / 'none'}", *more]) == 0
    return yaml.safe_load(out.read_text())["rules"]  # type: ignore[no-any-return]


def test_lines_become_rules_in_shadow_mode_that_the_engine_takes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = discover(folder, "lines.ndjson", "--corrections", str(folder / "c.ndjson"))
    told = capsys.readouterr().err
    by_label = {str(rule["label"]): rule for rule in rules}
    assert set(by_label) == {"User Action", "System Notification"}
    login = by_label["User Action"]
    assert login["pattern"] == r"^User\s+User\d+\s+logged\s+(?:in\.|out\.)$"
    assert login["mode"] == "shadow"
    assert login["where"] == {"source": ["shop"]}
    assert "12 of 25 records (48 %)" in str(login["description"])
    flange = by_label["System Notification"]
    assert "label by people" in str(flange["description"])
    assert "hunter2" not in (folder / "out" / "proposed.yaml").read_text()
    assert "1 groups of which nobody knows the label" in told  # the manifold
    labels = read_labels(Settings().labels.path).names
    ruleset = asyncio.run(load_ruleset([folder / "out"], labels=labels))
    assert {rule.mode for rule in ruleset.rules} == {"shadow"}
    assert all(rule.samples > 1 for rule in ruleset.rules)


def test_patterns_without_examples_are_read_as_well(folder: Path) -> None:
    by_mask: dict[str, int] = {}
    for _, line in lines():
        by_mask[mask(line)] = by_mask.get(mask(line), 0) + 1
    patterns = [
        Pattern(id=pattern_id(one), mask=one, count=count, sources={"a": 1, "b": count - 1})
        for one, count in by_mask.items()
    ]
    (folder / "p.ndjson").write_bytes(b"".join(map(encode, patterns)))
    (login,) = [one for one in discover(folder, "p.ndjson") if one["label"] == "User Action"]
    assert "where" not in login


def test_bad_options_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "discover"]) == 2
    assert "--from is missing" in capsys.readouterr().err
    origin = ("--from", str(folder / "lines.ndjson"))
    assert main(["rules", "discover", *origin, "--at-least", "0"]) == 2
    assert "--at-least 0: expected 1 or more" in capsys.readouterr().err
