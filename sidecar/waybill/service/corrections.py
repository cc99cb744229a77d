"""The corrections of a service: they follow their files like rules do."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from waybill.core.coalesced import Coalesced
from waybill.labelling.corrections.files import is_folder
from waybill.labelling.corrections.source import CorrectionSource
from waybill.labelling.corrections.table import CorrectionTable
from waybill.ops.health import LoadState
from waybill.ops.metrics import Metrics
from waybill.service.followed import Followed
from waybill.service.guard import CorrectionGuard
from waybill.service.loading import correction_source, take_cached
from waybill.service.opening import Labelling
from waybill.service.reload import Reloadable, part_name
from waybill.settings.schema import Settings

log = logging.getLogger(__name__)


def _source(settings: Settings, labelling: str) -> CorrectionSource:
    """Where they come from, with what was fetched before."""
    source = correction_source(settings, labelling)
    cache = settings.corrections.follow_cache
    if cache is not None:
        take_cached(source, Path(cache))
    return source


class CorrectionsPart(Reloadable[CorrectionTable]):
    """The corrections of ``corrections.path`` and ``corrections.follow``."""

    #: What the followed server calls what it gave last.
    follow_tag: str | None = None

    def __init__(
        self,
        labelling: Labelling,
        metrics: Metrics,
        lock: asyncio.Lock,
        guard: CorrectionGuard,
    ) -> None:
        settings = labelling.settings
        pipeline = labelling.pipeline
        self._model = labelling.model
        self.taxonomy = pipeline.taxonomy
        self.followed = Followed(settings.corrections.follow, "corrections could not be fetched")
        self._labelling = labelling.name
        self._pipeline = pipeline
        self._metrics = metrics
        self._warnings: list[str] = []
        self.guard = guard
        self._loads = Coalesced(self.reload)
        self.source = _source(settings, labelling.name)
        self.source.adopt(pipeline.corrections)
        state = LoadState(part_name(labelling.name, "corrections"), metrics)
        super().__init__(state, lock, pipeline.corrections)
        self.follow(
            _folders(self.source),
            self.source.fingerprint,
            settings.corrections.poll_secs,
            pipeline.corrections.files_mark,
            is_deep=False,
        )

    async def catch_up(self) -> None:
        """Have in force what was written before this call.

        A hundred people who correct at once share two loads.
        """
        await self._loads.run()

    async def _read(self) -> CorrectionTable:
        self._warnings = await asyncio.to_thread(self.source.warnings)
        return await asyncio.to_thread(self.source.load, self._pipeline.taxonomy)

    def _mark(self, found: CorrectionTable) -> object:
        return found.version, found.history_version

    def _put_in_force(self, found: CorrectionTable) -> None:
        self._pipeline.swap_corrections(found)
        self._look_again()

    async def start(self) -> None:
        """See `Reloadable`; rules and model are held against the corrections in force."""
        await super().start()
        self._look_again()

    def _look_again(self) -> None:
        bundle = self._model.bundle if self._model is not None else None
        self.guard.look_again(bundle)

    async def stop(self) -> None:
        """See `Reloadable`."""
        await super().stop()
        await self.guard.stop()

    def _log_in_force(self) -> str:
        table = self._pipeline.corrections
        self._metrics.corrections_loaded.labels(self._labelling).set(len(table))
        self._metrics.corrections_disputed.labels(self._labelling).set(len(table.disputed))
        fields = {"version": table.version, "corrections": len(table)}
        log.info("corrections are in force", extra=fields)
        for warning in self._warnings:
            log.warning("a file is not read as corrections", extra={"detail": warning})
        return table.version

    def describe(self) -> dict[str, object]:
        """The state as plain data, with how many there are and how many are disputed."""
        table = self._pipeline.corrections
        return {
            **super().describe(),
            **self.followed.describe(tag=self.follow_tag),
            "guard": self.guard.describe(),
            "corrections": len(table),
            "disputed": len(table.disputed),
            "warnings": self._warnings,
        }

    def edition(self) -> dict[str, object]:
        """The state, with the version of the history: of all that was said, standing or not."""
        history = self._pipeline.corrections.history_version
        followed = self.followed.describe(tag=self.follow_tag)
        return {**super().edition(), "history": history, **followed}


def has_corrections(settings: Settings) -> bool:
    """Whether corrections are configured at all."""
    return settings.corrections.path is not None or settings.corrections.follow is not None


def _folders(source: CorrectionSource) -> list[Path]:
    """The folders whose entries change when the corrections do."""
    return [path if is_folder(path) else path.absolute().parent for path in source.paths]
