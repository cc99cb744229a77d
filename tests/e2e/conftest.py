"""Fixtures of these tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.conftest import Sidecar, running


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="sidecar")
async def _sidecar(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sidecar]:
    """One sidecar for the module, with a dead-letter folder and a small body limit."""
    folder = tmp_path_factory.mktemp("dead")
    async with running(f"dead_letter.path={folder}", "limits.body_bytes=4000000") as sidecar:
        yield sidecar
