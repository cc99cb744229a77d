"""A command line that no command takes is answered with what to write."""

from __future__ import annotations

import pytest

from waybill.cli.explain import read_asked
from waybill.cli.main import main
from waybill.settings.schema import FieldSettings


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--config mine.yaml check", "waybill COMMAND --config"),
        ("--set memo.bytes=1 serve", "waybill COMMAND --set"),
        ("--set=memo.bytes=1 serve", "waybill COMMAND --set"),
        ("check mine.yaml", "by --config mine.yaml; 'waybill check --help'"),
        ("serve etc/mine.yml", "by --config etc/mine.yml; 'waybill serve --help'"),
        ("label a.csv b.csv", "arguments: b.csv; it takes one file at a time; 'waybill label"),
        (
            "serve --port 80",
            "--port 80; a setting is given by --set KEY=VALUE; 'waybill serve --help'",
        ),
        ("explain zorbl --src shop", "--src shop (did you mean --source?); 'waybill explain"),
        ("label a.csv --outptu b.csv", "--outptu b.csv (did you mean --output?)"),
        ("rules test --lablling=a x", "--lablling=a (did you mean --labelling?)"),
        ("--verison", "--verison (did you mean --version?)"),
        ("rules --zorbl", "arguments: --zorbl; 'waybill rules --help'"),
        ("zorbl", "invalid choice: 'zorbl'"),
        ("serv", "(did you mean serve?)"),
        ("rules lst", "(did you mean list?)"),
        ("rules discover --from a -o b --mode enforced", "(did you mean enforce?)"),
    ],
)
def test_what_no_command_takes_is_told_with_what_to_write(
    line: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"logs": [{"message": "a"}]}', "--set fields.records=logs; explain one of them"),
        (' {"a": {"b": [{"message": "a"}]}}', "--set fields.records=a.b; explain one of them"),
        ('{"zorbl": "a"}', "Name its field, such as --set 'fields.message=[\"text\"]'"),
    ],
)
def test_an_object_without_a_message_is_told_where_records_may_be(text: str, told: str) -> None:
    asked = read_asked(text, FieldSettings())
    assert asked.message == text
    assert told in asked.origin
