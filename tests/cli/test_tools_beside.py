"""Tools beside a service: whose settings they read, and what fits a small terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.learn.patterns import stored
from waybill.cli.main import run
from waybill.cli.pattern_rows import print_patterns
from waybill.core.pattern import encode
from waybill.settings import sources

RULE = "rules: [{id: one, label: Error, pattern: zorbl, match: [zorbl], no_match: [flimp]}]"


@pytest.fixture(name="service")
def _service(tmp_path: Path) -> Path:
    """The settings of a service that nobody has corrected yet."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "one.yaml").write_text(RULE)
    file = tmp_path / "waybill.yaml"
    file.write_text(
        f"rules: {{path: {tmp_path / 'rules'}}}\n"
        f"corrections: {{path: {tmp_path / 'said.ndjson'}}}\n"
        "model: {path: null}\nroutes: [{source: ['*'], tiers: [rules]}]\n"
    )
    return file


def test_a_tool_reads_the_services_settings_and_says_so(
    service: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WAYBILL_CONFIG", str(service))
    assert run(["explain", "a zorbl"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("Error, by the rule one")
    assert told.err == f"waybill: settings of {service} (WAYBILL_CONFIG)\n"


def test_settings_that_are_there_and_not_read_are_named(
    service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "USUAL_FILES", (service.with_name("gone"), service))
    assert f"though there is a {service}: --config {service}" in sources.said_of(None, {})
    assert sources.said_of(service, {}) == f"settings of {service}"
    monkeypatch.setattr(sources, "USUAL_FILES", ())
    assert sources.said_of(None, {}) == ""


def test_a_backtest_needs_no_corrections_unless_they_are_its_bound(
    service: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patterns = tmp_path / "patterns.ndjson"
    patterns.write_bytes(encode(stored("a zorbl", "Error", 10)))
    asked = ["backtest", "--config", str(service), "--on", str(patterns)]
    sides = ["--old", "current", "--new", "none"]
    assert run([*asked, *sides]) == 0
    assert "no corrections yet" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError):
        run([*asked, *sides, "--no-contradictions"])


@pytest.mark.parametrize("columns", [80, 100, 111, 150, 200])
def test_patterns_fit_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    print_patterns([stored("the zorbl of basket 0 was not flimped by partner 0 " * 4, "Error", 9)])
    head, row = capsys.readouterr().out.splitlines()
    assert max(len(head), len(row)) <= columns
    assert "zorbl" in row
