"""``waybill label`` with several labellings: what it tells of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.taxonomies import SEVERITY_YAML
from waybill.cli.main import main


@pytest.mark.parametrize("is_json", [False, True])
def test_the_summary_has_the_labels_of_each_labelling(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, is_json: bool
) -> None:
    for folder, label in (("first", "Error"), ("further/rules", "High")):
        (tmp_path / folder).mkdir(parents=True)
        rule = f"rules: [{{id: down, label: {label}, pattern: is down, match: [it is down]}}]"
        (tmp_path / folder / "a.yaml").write_text(rule)
    (tmp_path / "further" / "labels.yaml").write_text(SEVERITY_YAML)
    (tmp_path / "a.csv").write_text("log\na is down\nb is down\nhello\n")
    settings = (
        "model.path=null",
        f"rules.path={tmp_path / 'first'}",
        f"labellings=[{{name: severity, pack: {tmp_path / 'further'}}}]",
    )
    words = ["label", str(tmp_path / "a.csv"), "-o", str(tmp_path / "out.csv")]
    words += [word for one in settings for word in ("--set", one)]
    assert main([*words, *["--progress", "json"][: 2 * is_json]]) == 0
    said = capsys.readouterr().err
    if is_json:
        counts = json.loads(said.splitlines()[-1])
        assert counts["further"] == {"severity": {"High": 2, "Unclassified": 1}}
    else:
        (told,) = [part for part in said.split("severity:\n") if "High" in part]
        rows = [line.split() for line in told.splitlines()[:2]]
        assert rows == [["2", "66.7", "%", "High"], ["1", "33.3", "%", "Unclassified"]]
