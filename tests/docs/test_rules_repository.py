"""The example of a repository of rules: its commands run, and its workflow runs the same ones."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from tests.docs.blocks import ROOT, blocks
from tests.docs.runner import RULE_FILES
from waybill.cli.main import main
from waybill.core.pattern import pattern_id
from waybill.labelling.masking import mask
from waybill.learn.recorded import read_recorded

FOLDER = ROOT / "examples" / "rules-repository"


def commands() -> list[list[str]]:
    """The commands of the page, without `waybill`."""
    texts = [block.text.replace("\\\n", " ") for block in blocks(FOLDER / "README.md")]
    return [shlex.split(text)[1:] for text in texts]


@pytest.fixture(name="copy")
def _copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = tmp_path / "repository"
    shutil.copytree(FOLDER, copy)
    shutil.copytree(FOLDER / "team-rules", copy / "base" / "team-rules")
    # Some of the packaged rules stand for all, which take seconds to compile in each variant.
    packaged = tmp_path / "packaged"
    packaged.mkdir()
    for name in RULE_FILES:
        shutil.copy(ROOT / "rules" / name, packaged)
    monkeypatch.setenv("WAYBILL_RULES_PATH", str(packaged))
    monkeypatch.chdir(copy)
    return copy


def test_its_commands_show_what_a_change_does(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test, diff, discover = commands()
    assert main(test) == 0
    assert "all pass" in capsys.readouterr().out
    assert main(diff) == 0
    assert "flip: 0 (0 %)" in capsys.readouterr().out

    rules = copy / "team-rules" / "10-shop.yaml"
    rules.write_text(rules.read_text().replace("label: Workflow Error", "label: Error", 1))
    assert main(diff) == 1
    told = capsys.readouterr()
    assert "the new side contradicts 1 correction; --no-contradictions allows none" in told.err
    assert "corrected to Workflow Error, given Error (shop-order-stuck)" in told.out
    assert "is stuck in packing" in (copy / "diff.html").read_text()
    assert discover[:2] == ["rules", "discover"]


def test_its_workflow_runs_the_commands_of_the_page() -> None:
    workflow = yaml.safe_load((FOLDER / ".github/workflows/rules.yaml").read_text())
    steps = workflow["jobs"]["rules"]["steps"]
    run = [shlex.split(step["run"])[1:] for step in steps if "run" in step]
    test, diff, _ = commands()
    assert run[0] == ["-p", "base/team-rules", "team-rules"], "the branch may have no rules yet"
    assert run[1] == ["install", "waybill-sidecar"]
    assert run[2:] == [test, diff]
    uploaded = [step["with"]["path"] for step in steps if "upload" in step.get("uses", "")]
    assert uploaded == ["diff.html"]


def test_its_patterns_are_those_of_its_lines() -> None:
    for pattern in read_recorded(str(FOLDER / "patterns.ndjson")):
        assert pattern.id == pattern_id(pattern.mask)
        assert {mask(line) for line in pattern.examples} == {pattern.mask}
        assert re.fullmatch(r"shop-\w+", next(iter(pattern.sources)))
