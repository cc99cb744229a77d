"""A workbench beside the sidecar of the demo, with a store that is thrown away at the end."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from waybill.core.errors import ConfigError
from waybill.settings.schema import Settings
from waybill.web.app import running_workbench

__all__ = ["pages"]

#: Looks at the sidecar so often: somebody is waiting.
_COLLECT_SECS = 2.0


@contextlib.asynccontextmanager
async def pages(settings: Settings, sidecar: str) -> AsyncIterator[str]:
    """The address of its pages; on another port where the usual one is taken."""
    replace = msgspec.structs.replace
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="waybill-demo-"))
        mine = replace(
            settings.workbench,
            sidecars=(sidecar,),
            store=str(Path(folder) / "workbench.db"),
            collect_secs=_COLLECT_SECS,
        )
        try:
            running = await stack.enter_async_context(
                running_workbench(replace(settings, workbench=mine))
            )
        except ConfigError:
            mine = replace(mine, listen="127.0.0.1:0")
            running = await stack.enter_async_context(
                running_workbench(replace(settings, workbench=mine))
            )
        yield running.address
