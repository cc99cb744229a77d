"""A command line that no command takes is answered with what to write."""

from __future__ import annotations

import pytest

from waybill.cli.main import main


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--config mine.yaml check", "waybill COMMAND --config"),
        ("--set memo.bytes=1 serve", "waybill COMMAND --set"),
        ("--set=memo.bytes=1 serve", "waybill COMMAND --set"),
        ("check mine.yaml", "by --config mine.yaml; 'waybill check --help'"),
        ("serve etc/mine.yml", "by --config etc/mine.yml; 'waybill serve --help'"),
        ("label a.csv b.csv", "arguments: b.csv; it takes one file at a time; 'waybill label"),
        ("serve --port 80", "arguments: --port 80; 'waybill serve --help'"),
    ],
)
def test_what_no_command_takes_is_told_with_what_to_write(
    line: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
