"""A candidate bundle beside the model in force: it answers a sample, and decides nothing.

What the model was just asked is put to the candidate as well, on a thread of its own that gives way
to everything else; its answer is counted against the label that the record got. A queue bounds what
waits, and whatever finds it full is passed over: no batch is ever late for a shadow.

>>> shadow.offer("ERROR <ip> refused", "Error", Scope(), None)       # doctest: +SKIP
>>> shadow.describe()["agreement"]                                   # doctest: +SKIP
0.993
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from waybill.labelling.model.bundle import Bundle
from waybill.labelling.model.encoders.base import Floats
from waybill.labelling.telemetry import Silent, Telemetry
from waybill.labelling.tier import Scope

__all__ = ["Shadow"]

log = logging.getLogger(__name__)

#: Texts that wait for the candidate at most, and that are put to it at once.
_QUEUE_TEXTS = 256
_BATCH_TEXTS = 16
#: So many failures one after another, and the candidate is not asked again until another is loaded.
_MOST_FAILURES = 3
#: How far the thread gives way (`nice`): the most there is.
_NICE = 19
#: Disagreements that a description names.
_NAMED = 10


class _Asked(NamedTuple):
    """A masked text, the label that it got, what its route allows, and its embedding if known."""

    text: str
    label: str
    scope: Scope
    vector: Floats | None


class Shadow:
    """Asks a candidate about a share ``sample`` of the texts that it is offered.

    ``threshold`` is the setting ``model.threshold``, which holds for it, too. Use from one event
    loop; ``dice`` gives numbers in [0, 1).
    """

    def __init__(
        self,
        *,
        sample: float,
        threshold: float | None = None,
        telemetry: Telemetry | None = None,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._sample = sample
        self._threshold = threshold
        self._telemetry = telemetry or Silent()
        self._dice = dice
        self._queue: deque[_Asked] = deque()
        self._task: asyncio.Task[None] | None = None
        self._worker = ThreadPoolExecutor(
            1, thread_name_prefix="waybill-shadow", initializer=_give_way
        )
        self.bundle: Bundle | None = None
        self._failures = 0
        self._pairs: Counter[tuple[str, str]] = Counter()

    def swap(self, bundle: Bundle | None) -> None:
        """Ask ``bundle`` from now on, or nobody; the counts of the one before are forgotten."""
        self.bundle = bundle
        self._failures = 0
        self._pairs.clear()
        self._queue.clear()

    def offer(self, text: str, label: str, scope: Scope, vector: Floats | None) -> None:
        """Take note of a masked text that got ``label``; never waits, never raises.

        ``vector`` is its embedding by the model in force, for a candidate that has the same
        encoder.
        """
        if self.bundle is None or self._dice() >= self._sample:
            return
        if len(self._queue) >= _QUEUE_TEXTS:
            self._telemetry.model_shadow_skipped("busy", 1)
            return
        self._queue.append(_Asked(text, label, scope, vector))
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    def describe(self) -> dict[str, object]:
        """How far the candidate agrees with what records got, since it was loaded."""
        compared = self._pairs.total()
        agreed = sum(count for (label, other), count in self._pairs.items() if label == other)
        differing = [pair for pair in self._pairs.most_common() if pair[0][0] != pair[0][1]]
        share = None
        if compared:
            share = round(agreed / compared, 4)
        return {
            "compared": compared,
            "agreement": share,
            "differing": [
                {"label": label, "shadow_label": other, "count": count}
                for (label, other), count in differing[:_NAMED]
            ],
        }

    async def close(self) -> None:
        """Ask no more; the batch under way ends first. Can be called twice."""
        self.swap(None)
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        self._worker.shutdown(wait=False)

    async def _run(self) -> None:
        """Work off the queue."""
        try:
            while self._queue and self.bundle is not None:
                batch = [self._queue.popleft() for _ in range(min(_BATCH_TEXTS, len(self._queue)))]
                await self._ask(self.bundle, batch)
        finally:
            self._task = None

    async def _ask(self, bundle: Bundle, batch: Sequence[_Asked]) -> None:
        loop = asyncio.get_running_loop()
        try:
            labels = await loop.run_in_executor(
                self._worker, _labels, bundle, batch, self._threshold
            )
        except Exception:  # onnxruntime's share no base class; counted, and no record notices
            if self._gives_up(bundle, len(batch)):
                log.warning(
                    "the shadow model fails and is not asked any more",
                    extra={"version": bundle.version},
                    exc_info=True,
                )
            return
        if bundle is not self.bundle:
            return
        self._failures = 0
        for asked, label in zip(batch, labels, strict=True):
            self._pairs[asked.label, label] += 1
            self._telemetry.model_shadowed(asked.label, label)

    def _gives_up(self, bundle: Bundle, count: int) -> bool:
        """Count a failure; whether it was one too many."""
        self._telemetry.model_shadow_skipped("failed", count)
        if bundle is not self.bundle:
            return False
        self._failures += 1
        if self._failures < _MOST_FAILURES:
            return False
        self.bundle = None
        self._queue.clear()
        return True


def _labels(bundle: Bundle, batch: Sequence[_Asked], threshold: float | None) -> list[str]:
    """On the worker thread: the label that the candidate would give each text."""
    policy = bundle.policy(threshold)
    texts = [asked.text for asked in batch]
    missing = [asked.text for asked in batch if asked.vector is None]
    fresh = iter(bundle.embed(missing))
    rows = np.stack([next(fresh) if asked.vector is None else asked.vector for asked in batch])
    predictions = bundle.classify(rows, texts)
    return [
        policy.verdict(prediction, asked.scope).label
        for prediction, asked in zip(predictions, batch, strict=True)
    ]


def _give_way() -> None:
    """Lower the priority of the calling thread alone (on Linux a thread has a priority of its
    own).
    """
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
