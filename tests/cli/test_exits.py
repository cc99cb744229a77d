"""What a command that cannot do its work says, and how it ends."""

from __future__ import annotations

import pytest

from waybill.cli.exits import ExitCode, guarded
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
