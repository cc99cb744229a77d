"""``waybill label`` with one labeller for all tests of a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.label_rig import RULES, Done, Label
from waybill.cli import label_file
from waybill.cli.main import main
from waybill.library import Labeller
from waybill.settings.schema import Settings
from waybill.settings.sources import load_settings


@pytest.fixture(scope="session")
def labeller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labeller]:
    folder = tmp_path_factory.mktemp("rules")
    (folder / "a.yaml").write_text(RULES)
    overrides = [f"rules.path={folder}", "model.path=null"]
    with Labeller(load_settings(overrides=overrides, environ={})) as labeller:
        yield labeller


@pytest.fixture(name="label")
def _label(
    labeller: Labeller,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Label:
    """Label bytes under a name; one labeller serves all tests."""

    class Shared:
        def __init__(self, _: Settings) -> None: ...

        def __enter__(self) -> Labeller:
            return labeller

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(label_file, "Labeller", Shared)

    def label(name: str, data: bytes, *options: str) -> Done:
        (tmp_path / name).write_bytes(data)
        target = tmp_path / "out"
        target.unlink(missing_ok=True)
        code = main(["label", str(tmp_path / name), "-o", str(target), *options])
        return Done(code, capsys.readouterr().err, target.read_bytes() if target.exists() else None)

    return label
