"""The patterns of a service: counted, kept over restarts, and told of.

Each labelling has a table of its own: what a pattern is decided to be, and whether anybody could
decide, differs. What is known from before, and the masks of shapes, are shared.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from waybill.core.again import again_and_again
from waybill.core.reasons import PatternFault
from waybill.core.turns import in_turns
from waybill.labelling.llm.privacy import Privacy
from waybill.labelling.memo import BoundedMap
from waybill.ops.metrics import Metrics
from waybill.ops.pattern_metrics import PatternCounts
from waybill.patterns.known import KnownPatterns, KnownScope
from waybill.patterns.known_file import KnownFile
from waybill.patterns.node import NodePatterns, PatternPart
from waybill.patterns.shown import Shown
from waybill.patterns.sources import SourceTable
from waybill.patterns.table import PatternTable
from waybill.patterns.view import PatternView
from waybill.patterns.watch import Watch, new_masks
from waybill.patterns.words import VerdictKey
from waybill.service.opening import Labelling
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
    now = time.time()
    known = KnownPatterns(settings.patterns.size * (1 + len(settings.labellings)), now, lock)
    file = _file(settings, known, on_fault)
    if file is not None:
        file.read()
    for labelling in settings.labellings:
        KnownScope(known, labelling.name, int(now))  # begins to learn, if it has not
    return known


def _file(settings: Settings, known: KnownPatterns, on_fault: OnFault) -> KnownFile | None:
    if settings.patterns.path is None:
        return None
    return KnownFile(Path(settings.patterns.path), known, on_fault)


class LabellingPatterns:
    """The patterns of one labelling in one process.

    ``node`` are those of all workers together.
    """

    def __init__(
        self,
        settings: Settings,
        counts: PatternCounts,
        known: KnownPatterns,
        labelling: Labelling,
        shown: Shown,
        masks: BoundedMap[str],
    ) -> None:
        section = settings.patterns
        fallback = labelling.pipeline.taxonomy.fallback
        self._learn_secs = section.learn_secs
        self._counts = counts
        self._known = KnownScope(known, labelling.name, int(time.time()))
        self._shown = shown
        self._evicted = 0
        self.name = labelling.name
        self.table = PatternTable(
            section.size,
            fallback,
            on_new=self._meet,
            has_examples=section.examples == "cleaned",
        )
        self.watch = Watch(
            self.table,
            SourceTable(named=section.named_sources),
            counts,
            sample_every=section.sample_every,
            message_chars=settings.limits.message_bytes,
            masks=masks,
        )
        self.view = PatternView(self.watch, shown, fallback, labelling.name)
        self.node = NodePatterns(self.view, [], self._miss_worker)

    def _meet(self, number: int, said: VerdictKey, now: int) -> int:
        first, is_new = self._known.meet(number, now)
        if is_new and now - self._known.began >= self._learn_secs:
            self._counts.pattern_new(said.label)
        return first

    def _miss_worker(self) -> None:
        self._counts.pattern_failed("workers")

    def join(self, others: Sequence[PatternPart]) -> None:
        """Tell of ``others`` too, which are the other workers' part of this labelling."""
        self.node = NodePatterns(self.view, others, self._miss_worker)

    def examples_of(self, mask: str) -> Sequence[str]:
        """Messages of a mask that may be shown as they are."""
        entry = self.table.entry_of(mask)
        if entry is None:
            return ()
        return [text for text in entry.examples if self._shown.text(text) == text]

    async def keep(self) -> None:
        """Have it known what has a place in the table: a generation was forgotten."""
        self._known.keep_began()
        async for slots in in_turns(self.table.slots(), _TURN_IDS):
            for number, first in self.table.numbers(slots):
                self._known.keep(number, first)

    def note_state(self) -> None:
        """Bring the metrics up to date."""
        self.watch.settle()
        self._counts.note_table(len(self.table), self.table.evicted - self._evicted)
        self._evicted = self.table.evicted
        for (source, label), count in self.watch.sources.take_moves().items():
            self._counts.count_source(self._shown.source(source), label, count)


class Patterns:
    """Everything about patterns in one process: those of each labelling, by name.

    ``known`` is shared by all workers.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        known: KnownPatterns,
        labellings: Sequence[Labelling],
    ) -> None:
        self._known = known
        self._file = _file(settings, known, metrics.of_patterns.pattern_failed)
        self._generation = known.generation
        shown = Shown(Privacy(settings.llm.private_patterns))
        masks = new_masks()
        self.by_labelling: dict[str, LabellingPatterns] = {}
        for one in labellings:
            counts = metrics.of_patterns.of(one.name)
            own = LabellingPatterns(settings, counts, known, one, shown, masks)
            self.by_labelling[one.name] = own

    @property
    def nodes(self) -> dict[str, NodePatterns]:
        """What can be asked, by the name of the labelling; the first one's is empty."""
        return {name: own.node for name, own in self.by_labelling.items()}

    async def start(self, stack: contextlib.AsyncExitStack, role: Role) -> None:
        """Keep what is known, and answer other workers, until ``stack`` ends."""
        if role.metrics is not None:
            for name, own in self.by_labelling.items():
                own.join(siblings_of(role.metrics, role.number, role.count, name))
            parts = {name: own.view for name, own in self.by_labelling.items()}
            await answer_siblings(stack, role.metrics, role.number, parts)
        saves = role.is_first and self._file is not None
        keeping = again_and_again("keeping patterns", lambda: self._keep_later(saves=saves))
        task = asyncio.create_task(keeping)
        stack.push_async_callback(self._stop, task, saves=saves)

    async def _stop(self, task: asyncio.Task[None], *, saves: bool) -> None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await self._keep(saves=saves)

    async def _keep_later(self, *, saves: bool) -> None:
        await asyncio.sleep(_KEEP_SECS)
        await self._keep(saves=saves)

    async def _keep(self, *, saves: bool) -> None:
        for own in self.by_labelling.values():
            own.watch.settle()
        generation = self._known.generation
        if generation != self._generation:
            # A generation was forgotten; what has a place in a table is not.
            self._generation = generation
            for own in self.by_labelling.values():
                await own.keep()
        if saves and self._file is not None and self._file.has_news():
            await asyncio.to_thread(self._file.write)

    def note_state(self) -> None:
        """Bring the metrics up to date."""
        for own in self.by_labelling.values():
            own.note_state()


async def open_patterns(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    labellings: Sequence[Labelling],
    metrics: Metrics,
    role: Role,
) -> Patterns | None:
    """Count what ``labellings`` give until ``stack`` ends; None where patterns are off."""
    known = role.known or make_known(settings, metrics.of_patterns.pattern_failed)
    if known is None:
        return None
    patterns = Patterns(settings, metrics, known, labellings)
    await patterns.start(stack, role)
    for labelling in labellings:
        labelling.pipeline.observer = patterns.by_labelling[labelling.name].watch
    return patterns
