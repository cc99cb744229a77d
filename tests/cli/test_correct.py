"""``waybill correct``: who is told decides which labellings there are."""

from __future__ import annotations

import pytest

from waybill.cli import correct
from waybill.cli.main import main
from waybill.labelling.corrections.desk import Saying


def test_a_running_waybill_knows_its_labellings_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[Saying] = []

    async def send(address: str, token: str | None, saying: Saying) -> str:
        told.append(saying)
        return f"kept by {address}"

    monkeypatch.setattr(correct, "_send", send)
    asked = ["correct", "disk 7 is wobbly", "--label", "High", "--labelling", "severity"]
    assert main([*asked, "--to", "node:9880"]) == 0
    assert [one.labelling for one in told] == ["severity"]
    assert main(asked) == 2
    assert "no such labelling 'severity'" in capsys.readouterr().err
