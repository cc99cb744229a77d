"""What the settings will refuse for ever is said before anybody waits for it."""

from __future__ import annotations

import pytest

from waybill.cli.check import check
from waybill.settings.dump import changed_settings
from waybill.settings.naming import closed_doors
from waybill.settings.sources import load_settings, read_settings

PUSHED = ("return.type=otlp", "return.url=http://127.0.0.1:1/v1/logs")


@pytest.mark.parametrize(("overrides", "count"), [((), 1), (PUSHED, 0)])
async def test_otlp_without_a_way_back_is_said_with_its_endpoint_and_setting(
    capsys: pytest.CaptureFixture[str], overrides: tuple[str, ...], count: int
) -> None:
    said = list(closed_doors(load_settings(overrides=overrides, environ={})))
    assert len(said) == count
    assert all("/v1/logs" in doubt and "return.type" in doubt for doubt in said)
    await check(read_settings(None, ["model.path=null", *overrides]))
    printed = capsys.readouterr()
    assert "return.type" not in printed.err, "nobody who sends no OTLP need do anything"
    assert printed.out.count("return.type: ") == count
    assert printed.out.endswith("ok\n")


def test_what_is_not_as_by_default_is_told_alone() -> None:
    assert changed_settings(load_settings(overrides=(), environ={})) == {}
    settings = load_settings(overrides=(*PUSHED, "log.level=debug"), environ={})
    assert changed_settings(settings) == {
        "log": {"level": "debug"},
        "return": {"type": "otlp", "url": "http://127.0.0.1:1/v1/logs"},
    }
