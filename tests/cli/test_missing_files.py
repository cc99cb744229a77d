"""What commands say of a file that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from waybill.cli.main import main


@pytest.mark.parametrize(
    "words",
    [
        ["rules", "coverage", "NAME"],
        ["model", "evaluate", "NAME"],
        ["label", "NAME"],
        [
            "check",
            "--set=model.path=null",
            "--set=rules.path=RULES",
            "--set=http.tls.cert_file=NAME",
            "--set=http.tls.key_file=NAME",
        ],
        [
            "check",
            "--set=model.path=null",
            "--set=rules.path=RULES",
            "--set=return.tls.ca_file=NAME",
        ],
        ["check", "--set=model.path=null", "--set=rules.path=RULES", "--set=http.tokens_file=NAME"],
        [
            "check",
            "--set=model.path=null",
            "--set=rules.path=RULES",
            "--set=workbench.tokens_file=NAME",
        ],
        ["canary", "--ca-file=NAME", "--to=https://127.0.0.1:1/v1/label"],
        ["patterns", "--token-file=NAME"],
    ],
    ids=" ".join,
)
def test_a_file_that_is_not_there_is_told_in_words(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules, missing = str(tmp_path / "rules"), str(tmp_path / "missing.csv")
    Path(rules).mkdir()
    given = [word.replace("NAME", missing).replace("RULES", rules) for word in words]
    assert main(given) in (1, 2)
    said = capsys.readouterr().err
    assert missing in said
    assert "Errno" not in said
