"""Ctrl-C ends a command at once and without a traceback, whatever it is loading just then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

#: Sends the signal of Ctrl-C to its own process when the module of that name is asked for. What a
#: shell runs in the background ignores it.
_INTERRUPTS = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""


def interrupted(tmp_path: Path, command: str, name: str) -> subprocess.CompletedProcess[bytes]:
    (tmp_path / "sitecustomize.py").write_text(_INTERRUPTS.format(name=name))
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", ""), *sys.path))
    return subprocess.run(
        [sys.executable, "-m", "waybill", *command.split()],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    "name", ["waybill.cli.main", "waybill.cli.backtest", "waybill.core.errors"]
)
def test_while_its_own_modules_are_loaded(tmp_path: Path, name: str) -> None:
    ended = interrupted(tmp_path, "--version", name)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, b"")


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("check", "waybill.service.opening"),
        ("check", "hyperscan"),
        ("explain x", "waybill.service.opening"),
        ("label -", "waybill.library"),
        ("label -", "hyperscan"),
        ("rules list", "waybill.labelling.rules.loading"),
        ("rules test", "hyperscan"),
        ("serve", "waybill.service.app"),
        ("serve", "uvloop"),
        ("workbench", "waybill.web.app"),
        ("top", "waybill.patterns.client"),
        ("model evaluate x.csv", "onnxruntime"),
        ("pack check packs/banking", "waybill.core.labels"),
    ],
)
def test_while_a_command_loads_what_it_needs(tmp_path: Path, command: str, name: str) -> None:
    ended = interrupted(tmp_path, command, name)
    assert b"Traceback" not in ended.stderr, ended.stderr
    assert b"destroyed" not in ended.stderr, ended.stderr
