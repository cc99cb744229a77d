"""The coverage report: shares, agreement, conflicts between files."""

from __future__ import annotations

from pathlib import Path

import pytest

from waybill.cli.main import main
from waybill.core.pattern import Pattern, encode, pattern_id

ONE = """
rules:
  - {id: one-refused, label: Error, pattern: refused, match: [refused], no_match: [fine]}
"""
TWO = """
rules:
  - {id: two-login, label: Security Alert, pattern: "login", match: [login], no_match: [fine]}
"""
CSV = """log_message,target_label
connection refused,Error
login refused,Security Alert
login,User Action
nothing,Error
"""


def test_files_are_counted_and_conflicts_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "10-one.yaml").write_text(ONE)
    (rules / "20-two.yaml").write_text(TWO)
    (tmp_path / "lines.csv").write_text(CSV)
    (tmp_path / "lines.ndjson").write_text('{"log": "login"}\n{"log": "fine"}\n')
    (tmp_path / "lines.txt").write_text("refused\n\nfine\n")
    files = [str(tmp_path / f"lines.{suffix}") for suffix in ("csv", "ndjson", "txt")]
    assert main(["rules", "coverage", *files, "--set", f"rules.path={rules}"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1].split() == ["10-one.yaml", "3", "37.5", "%", "0.500"]
    assert out[2].split() == ["20-two.yaml", "2", "25.0", "%", "0.000"]
    assert out[3].split() == ["all", "5", "62.5", "%"]
    assert out[4] == "conflict: one-refused decides, two-login says otherwise (1): login refused"


def test_a_file_without_messages_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    assert main(["rules", "coverage", str(tmp_path / "x.csv")]) == 1
    assert "no column" in capsys.readouterr().err


def test_what_shadow_rules_would_flip_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "05-new.yaml").write_text(
        "rules: [{id: new, label: Security Alert, pattern: 'refused|odd', mode: shadow}]\n"
    )
    (rules / "10-one.yaml").write_text(ONE)
    (rules / "20-idle.yaml").write_text(TWO.replace("login", "never"))
    (tmp_path / "lines.csv").write_text(CSV + "an odd thing,Error\n")
    given = ("rules", "coverage", str(tmp_path / "lines.csv"), "--set", f"rules.path={rules}")
    assert main(given) == 0
    out = capsys.readouterr().out
    assert "20-idle.yaml" not in out
    assert "files that decide none of these lines: 2" in out
    assert "shadow: new would give 2 lines Security Alert, where rules give Error" in out
    assert "shadow: new would give 1 lines Security Alert, where no rule decides" in out


def test_files_without_records_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    pattern = Pattern(id=pattern_id("disk 0 full"), mask="disk 0 full", count=9)
    (tmp_path / "patterns.ndjson").write_bytes(encode(pattern))
    for name, words in (("empty.txt", "no message was found"), ("patterns.ndjson", "are patterns")):
        assert main(["rules", "coverage", str(tmp_path / name)]) == 1
        said = capsys.readouterr().err
        assert name in said
        assert words in said
