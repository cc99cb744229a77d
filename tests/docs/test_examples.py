"""The local example: its two halves meet, and a real Fluent Bit runs it where there is one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.blocks import ROOT
from tests.docs.runner import Session
from tests.patience import PATIENCE_SECS
from tests.support.ports import free_port
from waybill.settings.sources import load_settings

FOLDER = ROOT / "examples/local"
FLUENT_BIT = os.environ.get("FLUENT_BIT_BIN") or shutil.which("fluent-bit")


def config() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((FOLDER / "fluent-bit.yaml").read_text())
    return read


def plugin(kind: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in config()["pipeline"][kind] if one["name"] == name]
    return dict(found)


def test_the_ports_of_both_halves_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    waybill = load_settings(Path("waybill.yaml"), environ={})
    output, back = plugin("outputs", "http"), plugin("inputs", "forward")
    assert waybill.http.listen == f"{output['host']}:{output['port']}"
    assert output["uri"] == "/v1/label"
    assert waybill.return_.url == f"forward://{back['listen']}:{back['port']}"


def test_a_labelled_record_never_goes_to_waybill_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    waybill = load_settings(Path("waybill.yaml"), environ={})
    tag = plugin("inputs", "tail")["tag"]
    assert plugin("outputs", "http")["match"] == tag
    returned = plugin("outputs", "stdout")["match"]
    assert returned == f"{waybill.return_.tag_prefix}*"
    assert not tag.startswith(waybill.return_.tag_prefix)


def test_new_files_are_found_soon() -> None:
    assert plugin("inputs", "tail")["refresh_interval"] <= 5
    whole = yaml.safe_load((ROOT / "config/fluent-bit/fluent-bit.yaml").read_text())
    (tail,) = [one for one in whole["pipeline"]["inputs"] if one["name"] == "tail"]
    assert tail["refresh_interval"] <= 5


@pytest.mark.e2e
@pytest.mark.skipif(FLUENT_BIT is None, reason="no fluent-bit: set FLUENT_BIT_BIN")
def test_a_real_fluent_bit_prints_labelled_records(tmp_path: Path) -> None:
    session = Session(tmp_path)
    folder = tmp_path / "examples/local"
    back = str(free_port())
    for name in ("fluent-bit.yaml", "waybill.yaml"):
        text = (folder / name).read_text().replace("24225", back)
        (folder / name).write_text(text.replace("port: 9880", f"port: {session.address[10:]}"))
    (folder / "app.log").write_text("payment 4711 of order 17 declined by the bank\n")
    try:
        session.serve("cd examples/local\nwaybill serve --config waybill.yaml")
        printed = tmp_path / "printed"
        assert FLUENT_BIT is not None
        with printed.open("wb") as file:
            shipper = subprocess.Popen(
                [FLUENT_BIT, "-c", "fluent-bit.yaml"], cwd=folder, stdout=file, stderr=file
            )
        try:
            record = wait_for_record(printed)
        finally:
            shipper.terminate()
            shipper.wait(20)
    finally:
        session.stop()
    assert record["target_label"] == "Workflow Error"
    assert record["label_rule"] == "shop-payment-declined"


def wait_for_record(file: Path) -> dict[str, Any]:
    """The first labelled record in ``file``."""
    until = time.monotonic() + PATIENCE_SECS
    while time.monotonic() < until:
        for line in file.read_text(errors="replace").splitlines(keepends=True):
            if line[0] == "{" and line[-1] == "\n" and "target_label" in line:
                record: dict[str, Any] = json.loads(line)
                return record
        time.sleep(0.2)
    raise AssertionError(file.read_text(errors="replace"))
