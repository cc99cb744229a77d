"""``waybill explain``: what it prints for other tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from waybill.cli.main import main


def test_explain_drafts_a_rule_and_says_where_it_cannot(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Of a message that has a label, too: that is where one is wrong."""
    assert main(["explain", "--draft", '{"log": "User User42 logged in."}']) == 0
    file = tmp_path / "10-mine.yaml"
    file.write_text(capsys.readouterr().out.replace("YOUR LABEL", "Error"))
    assert main(["explain", "User User7 logged in.", f"--set=rules.extra_paths=[{tmp_path}]"]) == 0
    assert "Error, by the rule my-rule" in capsys.readouterr().out
    assert main(["explain", "--draft", " "]) == 1
    assert "write its pattern by hand" in capsys.readouterr().err
