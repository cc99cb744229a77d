"""Files that are written from the fields of the settings are as the fields have them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest
import yaml

from waybill.settings.catalogue import catalogue
from waybill.settings.dump import dump_settings
from waybill.settings.generate.__main__ import API, CHART, LABELS, generated, main
from waybill.settings.schema import Settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("file", generated(ROOT), ids=lambda file: file.name)
def test_a_generated_file_is_as_the_settings_have_it(file: Path) -> None:
    assert file.read_text("utf-8") == generated(ROOT)[file], (
        "run python -m waybill.settings.generate"
    )


def test_the_command_writes_what_differs_and_only_compares_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config").mkdir()
    for file in (CHART, LABELS, API):
        (tmp_path / file).parent.mkdir(parents=True)
        shutil.copy(ROOT / file, tmp_path / file)
    assert main([str(tmp_path), "--check"]) == 1
    assert "config/waybill.yaml is not as it is made" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 0
    assert main([str(tmp_path), "--check"]) == 0


def test_every_setting_stands_on_the_page_with_its_variable() -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for path, setting in catalogue().items():
        assert f"| `{path}` |" in page
        assert f"| `{setting.environment}` |" in page


def test_the_charts_schema_takes_the_defaults_and_refuses_what_waybill_refuses() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((ROOT / CHART).read_text("utf-8"))["properties"]["config"]
    defaults = yaml.safe_load((ROOT / "config" / "waybill.yaml").read_text("utf-8"))
    jsonschema.validate(defaults, schema)
    jsonschema.validate({"llm": None, "model": {"path": None}}, schema)
    refused: tuple[dict[str, object], ...] = (
        {"log": {"level": "chatty"}},
        {"http": {"workers": 0}},
        {"http": {"workers": "2"}},
        {"http": {"listens": ":1"}},
        {"llm": {"api_key": "secret"}},
        {"llm": {"wait_ms": 6000}},
        {"llm": {"base_url": "vllm:8000"}},
        {"rules": {"extra_paths": "rules"}},
        {"routes": [{"source": ["*"], "tiers": ["magic"]}]},
        {"routes": [{"tiers": []}]},
    )
    for wrong in refused:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_the_shipped_file_shows_the_values_of_the_defaults() -> None:
    shown = yaml.safe_load((ROOT / "config" / "waybill.yaml").read_text("utf-8"))
    expected = dump_settings(Settings())
    assert isinstance(expected["llm"], dict)
    del expected["llm"]["api_key"]
    assert shown == msgspec.to_builtins(expected)
