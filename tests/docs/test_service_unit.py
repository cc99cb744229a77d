"""The unit for systemd starts what there is, and agrees with the settings that it names."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT
from waybill.cli.exits import ExitCode
from waybill.cli.main import make_parser
from waybill.settings.catalogue import catalogue
from waybill.settings.environment import VARIABLES
from waybill.settings.schema import Settings

UNIT = ROOT / "deploy/systemd/waybill.service"
PAGE = ROOT / "docs/service.md"


def service() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text())
    return parser["Service"]


def test_it_starts_and_ends_the_service() -> None:
    unit = service()
    program, *words = unit["ExecStart"].split()
    assert program == "/opt/waybill/bin/waybill"
    assert make_parser().parse_args(words).config == Path("/etc/waybill/waybill.yaml")
    assert unit["RestartPreventExitStatus"] == str(int(ExitCode.CONFIGURATION))
    assert int(unit["TimeoutStopSec"]) > Settings().http.drain_secs
    assert unit["WorkingDirectory"] == f"/var/lib/{unit['StateDirectory']}"
    # Of the file descriptors three quarters are for connections.
    assert int(unit["LimitNOFILE"]) * 3 // 4 > Settings().limits.connections


def test_the_page_names_what_the_unit_names() -> None:
    page = PAGE.read_text()
    for named in (service()["EnvironmentFile"].lstrip("-"), service()["WorkingDirectory"]):
        assert named in page
    known = {setting.environment for setting in catalogue().values()}
    known |= {variable.name for variable in VARIABLES}
    assert set(re.findall(r"\bWAYBILL_[A-Z_]+", page)) <= known


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_systemd_knows_every_word_of_it(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"/opt/waybill/bin/waybill", "/bin/true", UNIT.read_text()))
    environment = {**os.environ, "SYSTEMD_LOG_LEVEL": "warning"}
    found = subprocess.run(
        ["systemd-analyze", "verify", str(unit)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "")
