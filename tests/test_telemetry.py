"""No library that we load tells its maker that it runs.

onnxruntime 1.32 does so by default, to a server of its maker, and keeps an id of the
machine and what it could not send yet in the cache folder of the user.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.startup.sitecustomize import search_path

ROOT = Path(__file__).parents[1]
#: What loads a library that would tell: labelling as a library, a command, and fitting a classifier.
RUNS = {
    "library": "from waybill import classify; print(classify([('shop', 'an order of 42 came in')]))",
    "command": (
        "import sys; from waybill.cli.main import run;"
        " sys.exit(run(['explain', 'an order of 42 came in']))"
    ),
    "training": "import waybill; import onnxruntime.quantization, huggingface_hub",
}


@pytest.mark.parametrize("name", RUNS)
def test_no_library_keeps_or_sends_anything_of_its_own(tmp_path: Path, name: str) -> None:
    told = {"DO_NOT_TRACK", "HF_HUB_DISABLE_TELEMETRY", "ORT_DISABLE_TELEMETRY"}
    environment = {key: value for key, value in os.environ.items() if key not in told}
    folders = {key: str(tmp_path) for key in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
    path = search_path(f"{ROOT}/sidecar", str(ROOT))
    done = subprocess.run(
        [sys.executable, "-c", RUNS[name]],
        env=environment | folders | {"PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {found.name for found in tmp_path.iterdir()} <= {"waybill"}
