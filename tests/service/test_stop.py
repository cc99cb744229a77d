"""What a service and a workbench leave to their event loop when they end: nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.conftest import Running
from tests.web.conftest import opened, settings_for

_MUCH = b'{"log":"order failed again"}\n' * 100_000


async def test_a_service_leaves_no_task(running: Running, tmp_path: Path) -> None:
    """One that is left asks for a thread when there is none any more."""
    before = asyncio.all_tasks()
    kept = (
        f"corrections.path={tmp_path}/c.ndjson",
        f"patterns.path={tmp_path}/p",
        f"dead_letter.path={tmp_path}/dead",
    )
    async with running("model.path=null", *kept) as sidecar:
        assert (await sidecar.post(_MUCH))[0] == 200
        assert (await sidecar.post(b"\0\1"))[0] == 400
        assert (await sidecar.post(b"", "/-/reload"))[0] == 200
    assert asyncio.all_tasks() == before


async def test_a_workbench_leaves_no_task(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with opened(settings_for(tmp_path)) as client:
        assert client is not None
    assert asyncio.all_tasks() == before
