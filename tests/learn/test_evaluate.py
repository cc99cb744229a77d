"""Evaluation through the pipeline that serves, and its report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from waybill.cli.main import run
from waybill.core.errors import ConfigError, WaybillError

ROOT = Path(__file__).parents[2]
ROWS = """source,log_message,target_label
ModernCRM,User User123 logged in.,User Action
web,"GET /api/v1/orders HTTP/1.1 status: 200 len: 512 time: 0.1",HTTP Status
sshd,Failed password for invalid user admin from 203.0.113.9 port 22 ssh2,Security Alert
x,a small green teapot sat by the river and sang,Unclassified
"""


#: The rules that the rows meet; all that come with Waybill take seconds to compile.
RULES = ("31-sshd-pam.yaml", "40-access-logs.yaml", "50-classic.yaml")


@pytest.fixture(autouse=True)
def few_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    for name in RULES:
        shutil.copy(ROOT / "rules" / name, folder)
    monkeypatch.setenv("WAYBILL_RULES_PATH", str(folder))


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    path = tmp_path / "gold.csv"
    path.write_text(ROWS)
    return path


def test_a_report_is_drawn_and_says_what_was_measured(
    gold: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = str(tmp_path / "report")
    assert run(["model", "evaluate", str(gold), "--ablation", "--report", report, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scores"]["lines"] == 4
    assert set(found["ablation"]) == {"rules", "model", "rules and model"}
    assert found["ablation"]["rules"]["per_label"]["User Action"]["recall"] == 1.0
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert (tmp_path / "report" / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "report" / "reliability.png").read_bytes().startswith(b"\x89PNG")


def test_a_line_that_got_another_label_is_listed(
    gold: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gold.write_text(ROWS + "ModernCRM,User User9 logged out.,Error\n")
    assert run(["model", "evaluate", str(gold), "--errors"]) == 0
    out = capsys.readouterr().out
    assert "macro-F1" in out
    assert "Error -> User Action (rule 1.00): User User0 logged out." in out


def test_without_a_line_or_a_model_nothing_is_measured(gold: Path) -> None:
    with pytest.raises(WaybillError, match="no row"):
        run(["model", "evaluate", str(gold), "--where", "source=nobody"])
    with pytest.raises(ConfigError):
        run(["model", "evaluate", str(gold), "--set", "model.path=null"])


def test_the_picture_and_the_list_are_of_the_same_run_and_of_the_routes_that_serve(
    gold: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A route that asks only the language model, which is off, is measured as what it answers."""
    gold.write_text(ROWS + "LegacyCRM,User User9 logged out.,User Action\n")
    assert run(["model", "evaluate", str(gold), "--errors", "--ablation", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    scores = found["scores"]
    labels, confusion = scores["labels"], scores["confusion"]
    missed = [
        (labels[i], labels[j], confusion[i][j])
        for i in range(len(labels))
        for j in range(len(labels))
        if i != j and confusion[i][j]
    ]
    assert missed == [("User Action", "Unclassified", 1)]
    (mistake,) = found["mistakes"]
    assert (mistake["right"], mistake["given"]) == ("User Action", "Unclassified")
    assert found["by_reason"]["llm_disabled"] == 1
    # What it would be without that route is another table.
    assert found["ablation"]["rules and model"]["accuracy"] == 1.0


def test_a_slow_model_is_waited_for(gold: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No shipper waits for an evaluation: a line that the model had no time for is no mistake."""
    defer = ["--set", "model.over_budget=defer", "--set", "model.budget_ms=1"]
    assert run(["model", "evaluate", str(gold), "--json", *defer]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "model_over_budget" not in found["by_reason"]
    assert "pending" not in found["by_tier"]
