"""Evaluation through the pipeline that serves, and its report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from waybill.core.errors import ConfigError, WaybillError
from waybill.learn.evaluate import main

ROWS = """source,log_message,target_label
ModernCRM,User User123 logged in.,User Action
web,"GET /api/v1/orders HTTP/1.1 status: 200 len: 512 time: 0.1",HTTP Status
sshd,Failed password for invalid user admin from 203.0.113.9 port 22 ssh2,Security Alert
x,a small green teapot sat by the river and sang,Unclassified
"""


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    path = tmp_path / "gold.csv"
    path.write_text(ROWS)
    return path


def test_a_report_is_drawn_and_says_what_was_measured(
    gold: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(gold), "--ablation", "--report", str(tmp_path / "report"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scores"]["lines"] == 4
    assert set(found["ablation"]) == {"rules", "model", "rules and model"}
    assert found["ablation"]["rules"]["per_label"]["User Action"]["recall"] == 1.0
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert (tmp_path / "report" / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "report" / "reliability.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_lists_errors(gold: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold.write_text(ROWS + "ModernCRM,User User9 logged out.,Error\n")
    assert main([str(gold), "--errors"]) == 0
    out = capsys.readouterr().out
    assert "macro-F1" in out
    assert "Error -> User Action (rule 1.00): User User0 logged out." in out


def test_nothing_to_measure_is_said(gold: Path) -> None:
    with pytest.raises(WaybillError, match="no row"):
        main([str(gold), "--where", "source=nobody"])
    with pytest.raises(ConfigError):
        main([str(gold), "--set", "model.path=null"])
