"""A workbench in a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

_SERVE = """
import asyncio, sys
from pathlib import Path
from tests.web.conftest import settings_for
from waybill.ops.memory import settle_memory
from waybill.ops.tuning import tune_process
from waybill.web.app import running_workbench
async def main():
    tune_process()
    async with running_workbench(settings_for(Path(sys.argv[1]))) as running:
        settle_memory()
        print(running.address, flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


@contextlib.contextmanager
def workbench_served(folder: Path) -> Iterator[tuple[tuple[str, int], int]]:
    """Its address and its process id; the store lies in ``folder``."""
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((f"{root}/sidecar", root))},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        url = urlsplit(process.stdout.readline().strip())
        yield (str(url.hostname), int(url.port or 0)), process.pid
        process.stdin.close()
