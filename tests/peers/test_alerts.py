"""Every alert through promtool: as a file of rules, and on series made up for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.peers.alerts import CASES, Series
from tests.peers.catalogue import PROMTOOL
from tests.peers.conftest import Find

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "helm" / "waybill" / "files" / "alerts.yaml"
RULES = {
    rule["alert"]: rule
    for group in yaml.safe_load(ALERTS.read_text())["groups"]
    for rule in group["rules"]
}


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def case(alert: str, series: tuple[Series, ...], minute: int, expected: list[object]) -> object:
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": expected}
        ],
    }


def rendered(text: str, labels: dict[str, str]) -> str:
    for name, value in labels.items():
        text = text.replace(f"{{{{ $labels.{name} }}}}", value)
    return text


def test_the_rules_are_valid(program: Find) -> None:
    said = run(str(program(PROMTOOL)), "check", "rules", str(ALERTS))
    assert f"{len(RULES)} rules found" in said


@pytest.mark.parametrize("alert", list(RULES))
def test_an_alert_fires_on_what_it_is_for_and_not_on_its_neighbour(
    program: Find, tmp_path: Path, alert: str
) -> None:
    rule = RULES[alert]
    one = CASES[alert]
    annotations = {name: rendered(text, one.labels) for name, text in rule["annotations"].items()}
    expected = {"exp_labels": rule["labels"] | one.labels, "exp_annotations": annotations}
    tests = {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": "1m",
        "tests": [
            case(alert, one.firing, one.minute, [expected]),
            case(alert, one.either or one.firing, one.minute, [expected]),
            case(alert, one.quiet, one.minute, []),
        ],
    }
    file = tmp_path / "cases.yaml"
    file.write_text(yaml.safe_dump(tests))
    assert "SUCCESS" in run(str(program(PROMTOOL)), "test", "rules", str(file))
