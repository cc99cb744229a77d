"""What a command that cannot do its work says, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from waybill.cli.exits import ExitCode, guarded
from waybill.cli.main import main
from waybill.core.errors import ConfigError


@pytest.mark.parametrize(("problems", "told"), [(20, 20), (21, 21), (1234, 21)])
def test_hundreds_of_faults_are_told_as_twenty_and_a_number(
    problems: int, told: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused() -> int:
        raise ConfigError([f"rule {i}: no such label" for i in range(problems)])

    assert guarded(refused) == ExitCode.CONFIGURATION
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == told
    if problems > 20:
        assert lines[-1] == f"waybill: and {problems - 20:,} more"


def test_a_module_that_an_interrupt_made_fail_is_an_interrupt() -> None:
    def loading(reason: type[BaseException]) -> int:
        try:
            raise reason
        except BaseException as error:
            raise ImportError("initialization failed") from error

    assert guarded(lambda: loading(KeyboardInterrupt)) == ExitCode.INTERRUPTED
    with pytest.raises(ImportError):
        guarded(lambda: loading(OSError))


@pytest.mark.parametrize(
    "command",
    [
        "label {}",
        "rules coverage {}",
        "rules discover --from {}",
        "rules diff none none --on {}",
        "model evaluate {}",
        "model train --output model --no-corpus --data {}",
    ],
)
def test_a_folder_in_place_of_a_file_is_called_one(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text("log,target_label\na,Error\n")
    assert main(command.format(tmp_path).split()) in (ExitCode.FAILED, ExitCode.CONFIGURATION)
    assert f"{tmp_path} is a folder; name a file in it" in capsys.readouterr().err
