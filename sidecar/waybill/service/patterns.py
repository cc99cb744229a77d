"""The patterns of a service: who counts them, who keeps what is known, who tells of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from waybill.core.labels import Taxonomy
from waybill.core.reasons import PatternFault
from waybill.labelling.llm.privacy import Privacy
from waybill.labelling.pipeline import Pipeline
from waybill.ops.metrics import Metrics
from waybill.patterns.known import KnownPatterns
from waybill.patterns.known_file import KnownFile
from waybill.patterns.node import NodePatterns
from waybill.patterns.shown import Shown
from waybill.patterns.sources import SourceTable
from waybill.patterns.table import PatternTable
from waybill.patterns.view import PatternView
from waybill.patterns.watch import Watch
from waybill.patterns.words import Said
from waybill.service.roles import Role
from waybill.service.siblings import answer_siblings, siblings_of
from waybill.settings.schema import Settings

__all__ = ["Patterns", "make_known", "open_patterns"]

log = logging.getLogger(__name__)
OnFault: TypeAlias = Callable[[PatternFault], None]
#: Between two looks at what is to be kept.
_KEEP_SECS = 5.0
#: Ids put back between two turns of the event loop (2 ms).
_TURN_IDS = 1000


def make_known(
    settings: Settings, on_fault: OnFault, lock: Path | None = None
) -> KnownPatterns | None:
    """What is known from before; None where patterns are off.

    ``lock`` is the path of a file where workers will share what is known.
    """
    if not settings.patterns.enabled:
        return None
    known = KnownPatterns(settings.patterns.size, time.time(), lock)
    file = _file(settings, known, on_fault)
    if file is not None:
        file.read()
    return known


def _file(settings: Settings, known: KnownPatterns, on_fault: OnFault) -> KnownFile | None:
    if settings.patterns.path is None:
        return None
    return KnownFile(Path(settings.patterns.path), known, on_fault)


class Patterns:
    """Everything about patterns in one process.

    ``known`` is shared by all workers.
    """

    def __init__(
        self, settings: Settings, metrics: Metrics, known: KnownPatterns, taxonomy: Taxonomy
    ) -> None:
        self._settings = settings
        self._metrics = metrics.of_patterns
        self._known = known
        self._file = _file(settings, known, self._metrics.pattern_failed)
        self._generation = known.generation
        self._shown = Shown(Privacy(settings.llm.private_patterns))
        self._evicted = 0
        section = settings.patterns
        self.table = PatternTable(
            section.size,
            taxonomy.fallback,
            on_new=self._meet,
            has_examples=section.examples == "cleaned",
        )
        self.watch = Watch(
            self.table,
            SourceTable(named=section.named_sources),
            self._metrics,
            sample_every=section.sample_every,
            message_chars=settings.limits.message_bytes,
        )
        self.view = PatternView(self.watch, self._shown, taxonomy.fallback)
        self.node = NodePatterns(self.view, [], self._miss_worker)

    def _meet(self, number: int, said: Said, now: int) -> int:
        first, is_new = self._known.meet(number, now)
        if is_new and now - self._known.began >= self._settings.patterns.learn_secs:
            self._metrics.pattern_new(said.label)
        return first

    def _miss_worker(self) -> None:
        self._metrics.pattern_failed("workers")

    async def start(self, stack: contextlib.AsyncExitStack, role: Role) -> None:
        """Keep what is known, and answer other workers, until ``stack`` ends."""
        if role.metrics is not None:
            others = siblings_of(role.metrics, role.number, role.count)
            self.node = NodePatterns(self.view, others, self._miss_worker)
            await answer_siblings(stack, role.metrics, role.number, self.view)
        saves = role.is_first and self._file is not None
        task = asyncio.create_task(self._keep_often(saves=saves))
        stack.push_async_callback(self._stop, task, saves=saves)

    async def _stop(self, task: asyncio.Task[None], *, saves: bool) -> None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        self.watch.settle()
        await self._keep(saves=saves)

    async def _keep_often(self, *, saves: bool) -> None:
        while True:
            await asyncio.sleep(_KEEP_SECS)
            self.watch.settle()
            await self._keep(saves=saves)

    async def _keep(self, *, saves: bool) -> None:
        generation = self._known.generation
        if generation != self._generation:
            # A generation was forgotten; what has a place in the table is not.
            self._generation = generation
            slots = self.table.slots()
            for at in range(0, len(slots), _TURN_IDS):
                for number, first in self.table.numbers(slots[at : at + _TURN_IDS]):
                    self._known.keep(number, first)
                await asyncio.sleep(0)
        if saves and self._file is not None and self._file.has_news():
            await asyncio.to_thread(self._file.write)

    def note_state(self) -> None:
        """Bring the metrics up to date."""
        self.watch.settle()
        metrics = self._metrics
        metrics.patterns.set(len(self.table))
        metrics.evicted.inc(self.table.evicted - self._evicted)
        self._evicted = self.table.evicted
        for (source, label), count in self.watch.sources.take_moves().items():
            metrics.source_records.labels(self._shown.source(source), label).inc(count)


async def open_patterns(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    pipeline: Pipeline,
    metrics: Metrics,
    role: Role,
) -> Patterns | None:
    """Count what ``pipeline`` labels until ``stack`` ends; None where patterns are off."""
    known = role.known or make_known(settings, metrics.of_patterns.pattern_failed)
    if known is None:
        return None
    patterns = Patterns(settings, metrics, known, pipeline.taxonomy)
    await patterns.start(stack, role)
    pipeline.observer = patterns.watch
    return patterns
