"""The candidate of ``model.shadow.path``: loaded beside the service, never in its way.

It is read after the start, in the background; one that is missing or broken is a metric, a log line
and a word in `/readyz`, and whatever was asked before is asked on.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from waybill.hub.versions import is_version, newest_first
from waybill.labelling.model.batcher import Batcher
from waybill.labelling.model.bundle import Bundle, load_bundle
from waybill.labelling.model.manifest import MANIFEST, fingerprint
from waybill.labelling.model.shadow import Shadow
from waybill.ops.health import LoadState
from waybill.ops.metrics import Metrics
from waybill.service.opening import Labelling
from waybill.service.reload import Reloadable

__all__ = ["ShadowPart", "shadow_folder"]

log = logging.getLogger(__name__)


def shadow_folder(path: Path) -> Path:
    """The bundle at ``path``: the folder itself, or its newest version."""
    if (path / MANIFEST).exists() or not path.is_dir():
        return path
    versions = [entry.name for entry in path.iterdir() if is_version(entry.name)]
    if not versions:
        return path
    return path / newest_first(versions)[0]


class ShadowPart(Reloadable[Bundle]):
    """Follows the candidate's files."""

    def __init__(
        self,
        labelling: Labelling,
        model: Batcher,
        metrics: Metrics,
        lock: asyncio.Lock,
    ) -> None:
        settings = labelling.settings.model
        assert settings.shadow.path is not None, "there is a shadow where there is a path"
        self._path = Path(settings.shadow.path)
        self._taxonomy = labelling.pipeline.taxonomy
        self._model = model
        self._shadow = Shadow(
            sample=settings.shadow.sample, threshold=settings.threshold, telemetry=metrics
        )
        model.shadow = self._shadow
        self._starting: asyncio.Task[None] | None = None
        super().__init__(LoadState("shadow", metrics), lock, None)
        self.follow([self._path], self._look, settings.poll_secs, "")

    async def start(self) -> None:
        """Begin to load and to follow; the service does not wait for it."""
        self._starting = asyncio.create_task(self.begin_watch())

    async def stop(self) -> None:
        """Stop following."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        await super().stop()

    async def reload(self) -> None:
        """Load it again now; where there is no folder, nobody is asked, and that is no fault."""
        if await asyncio.to_thread(self._path.exists):
            await super().reload()
            return
        self._shadow.swap(None)
        self._in_force = None
        self.state.forgotten()

    def describe(self) -> dict[str, object]:
        """The state as plain data, with how far the candidate agrees."""
        return {**super().describe(), **self._shadow.describe()}

    async def _read(self) -> Bundle:
        """Load and check it on a thread. Raises BundleError."""
        folder = await asyncio.to_thread(shadow_folder, self._path)
        return await asyncio.to_thread(load_bundle, folder, taxonomy=self._taxonomy)

    def _look(self) -> str:
        """Changes with the candidate's files. Raises OSError while they are exchanged."""
        folder = shadow_folder(self._path)
        return f"{folder}\n{fingerprint(folder)}"

    def _mark(self, found: Bundle) -> object:
        return found.manifest

    def _put_in_force(self, found: Bundle) -> None:
        """Ask it from now on; an encoder that serves already is not held twice."""
        if found.encoder_hash == self._model.bundle.encoder_hash:
            found.encoder = self._model.bundle.encoder
        self._shadow.swap(found)

    def _log_in_force(self) -> str:
        bundle = self._shadow.bundle
        version = bundle.version if bundle is not None else ""
        log.info("a shadow model is asked beside the model", extra={"version": version})
        return version
