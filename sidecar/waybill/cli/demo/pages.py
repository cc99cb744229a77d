"""A workbench beside the sidecar of the demo, with a store that is thrown away at the end."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec

from waybill.core.errors import ConfigError
from waybill.settings.schema import Settings
from waybill.web.app import running_workbench

__all__ = ["pages", "shared"]

#: Looks at the sidecar so often: somebody is waiting.
_COLLECT_SECS = 2.0


@contextlib.contextmanager
def shared(settings: Settings) -> Iterator[Settings]:
    """``settings`` with which what is applied on the pages is in force in the sidecar.

    Rules and corrections are thrown away at the end. Who says where they lie keeps them there.
    """
    if settings.corrections.path is not None or settings.workbench.apply != "patch":
        yield settings
        return
    replace = msgspec.structs.replace
    with tempfile.TemporaryDirectory(prefix="waybill-demo-") as place:
        rules, corrections = Path(place, "rules"), str(Path(place, "corrections.ndjson"))
        rules.mkdir()
        mine = replace(
            settings.workbench, apply="folder", folder=str(rules), corrections_file=corrections
        )
        yield replace(
            settings,
            workbench=mine,
            rules=replace(settings.rules, extra_paths=(*settings.rules.extra_paths, str(rules))),
            corrections=replace(settings.corrections, path=corrections),
        )


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
