"""The model tier: many callers on the event loop, one bundle, a worker thread of its own.

``submit`` answers with futures at once. Texts wait in a bounded queue; whenever a worker is free, the
oldest ``batch_size`` of them go to it (a batch forms by itself while the worker is busy, there is no
timer). A text that is already under way is not embedded twice, whoever asks. All state but the
embedding itself lives on the event loop, so there are no locks.

>>> futures = tier.submit(["ERROR <ip> refused"])           # doctest: +SKIP
>>> (await futures[0]).label                                # doctest: +SKIP
'Error'
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
from cachetools import LRUCache

from waybill.core.errors import TierUnavailable
from waybill.core.names import SlowTierName
from waybill.core.reasons import TierCode
from waybill.labelling.model.bundle import Bundle, Floats, Prediction

__all__ = ["ModelTier", "TierStats"]

log = logging.getLogger(__name__)

#: Bytes of a cached embedding beside its vector and text: key, array header, node (sys.getsizeof).
_ENTRY_BYTES = 400

_NAME: SlowTierName = "model"


class TierStats(msgspec.Struct):
    """Counts since the start, for metrics; ``queued`` is the present length of the queue."""

    texts: int = 0
    shared: int = 0
    cached: int = 0
    embedded: int = 0
    batches: int = 0
    failed: int = 0
    overloaded: int = 0
    busy_secs: float = 0.0
    queued: int = 0


class _Entry:
    """A text under way and everyone who waits for it."""

    __slots__ = ("text", "waiters")

    def __init__(self, text: str) -> None:
        self.text = text
        self.waiters: list[asyncio.Future[Prediction]] = []


class ModelTier:
    """Micro-batches texts for a `Bundle`. Use from one event loop; ``close`` before the loop ends.

    ``threads`` batches run side by side, each on its own thread; ``queue_messages`` bounds the texts
    that wait; ``embedding_cache_bytes`` bounds the cache of embeddings, which outlives a new
    classifier; ``clock`` gives seconds and times the batches.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        batch_size: int = 32,
        threads: int = 1,
        queue_messages: int = 20_000,
        embedding_cache_bytes: int = 16_777_216,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bundle = bundle
        self.stats = TierStats()
        self._batch_size, self._threads, self._queue_messages = batch_size, threads, queue_messages
        self._clock = clock
        self._queue: deque[_Entry] = deque()
        self._entries: dict[str, _Entry] = {}
        self._cache: LRUCache[tuple[str, str], Floats] = LRUCache(
            embedding_cache_bytes, _cached_bytes
        )
        self._workers = ThreadPoolExecutor(threads, thread_name_prefix="waybill-model")
        self._running: set[asyncio.Future[None]] = set()
        self._is_closed = False

    @property
    def version(self) -> str:
        """``<bundle>@<version>`` of the bundle that the next batch will use."""
        return self.bundle.version

    def submit(self, texts: Sequence[str]) -> list[asyncio.Future[Prediction]]:
        """One future per text (masked by the caller), in order; equal texts share their work.

        Each future ends with a `Prediction` or with `TierUnavailable` (``failed``, ``closed``, and the
        ``encoder_*`` of an encoder that is a service).
        Raises `TierUnavailable` (``overloaded``, ``closed``) when none of the texts is taken.
        """
        if self._is_closed:
            raise TierUnavailable(_NAME, "closed")
        fresh = sum(text not in self._entries for text in set(texts))
        if fresh and len(self._queue) + fresh > self._queue_messages:
            self.stats.overloaded += 1
            raise TierUnavailable(_NAME, "overloaded")
        loop = asyncio.get_running_loop()
        futures = [self._join(text, loop.create_future()) for text in texts]
        self.stats.texts += len(futures)
        self.stats.shared += len(futures) - fresh
        self._dispatch()
        return futures

    def swap(self, bundle: Bundle) -> None:
        """Use ``bundle`` from the next batch on; a batch under way ends with the one it began with."""
        self.bundle = bundle
        self._entries = {entry.text: entry for entry in self._queue}

    async def close(self) -> None:
        """Take no more, reject what waits, answer what is under way. Can be called twice."""
        self._is_closed = True
        waiting = list(self._queue)
        self._queue.clear()
        for entry in waiting:
            self._reject(entry, "closed")
        if self._running:
            await asyncio.wait(self._running)
        self._workers.shutdown(wait=False)

    def _join(self, text: str, future: asyncio.Future[Prediction]) -> asyncio.Future[Prediction]:
        entry = self._entries.get(text)
        if entry is None:
            entry = self._entries[text] = _Entry(text)
            self._queue.append(entry)
        entry.waiters.append(future)
        return future

    def _dispatch(self) -> None:
        """Give batches to free workers."""
        while self._queue and len(self._running) < self._threads:
            batch = self._take()
            if batch:
                task = asyncio.ensure_future(self._run(batch))
                self._running.add(task)
                task.add_done_callback(self._after)
        self.stats.queued = len(self._queue)

    def _take(self) -> list[_Entry]:
        """The oldest entries that someone still waits for."""
        batch: list[_Entry] = []
        while self._queue and len(batch) < self._batch_size:
            entry = self._queue.popleft()
            if all(waiter.done() for waiter in entry.waiters):
                self._forget(entry)
            else:
                batch.append(entry)
        return batch

    def _after(self, task: asyncio.Future[None]) -> None:
        self._running.discard(task)
        if not self._is_closed:
            self._dispatch()

    async def _run(self, batch: list[_Entry]) -> None:
        """Predict one batch with the bundle of this moment and settle its waiters."""
        bundle, began = self.bundle, self._clock()
        keys = [(bundle.encoder_hash, entry.text) for entry in batch]
        known = {key: vector for key in keys if (vector := self._cache.get(key)) is not None}
        missing = [key for key in keys if key not in known]
        loop = asyncio.get_running_loop()
        try:
            fresh, predictions = await loop.run_in_executor(
                self._workers, _predict, bundle, keys, known, [text for _, text in missing]
            )
        except TierUnavailable as error:  # an encoder that is a service; it logs its own troubles
            self._fail(batch, error.code)
            return
        except (
            Exception
        ):  # onnxruntime's errors share no base class; counted, and only this batch fails
            log.exception("the model failed on a batch of %d", len(batch))
            self._fail(batch, "failed")
            return
        except asyncio.CancelledError:
            for entry in batch:
                self._reject(entry, "closed")
            raise
        for key, vector in zip(missing, fresh, strict=True):
            self._remember(key, vector)
        self._count(len(batch), len(missing), began)
        for entry, prediction in zip(batch, predictions, strict=True):
            self._forget(entry)
            for waiter in entry.waiters:
                if not waiter.done():
                    waiter.set_result(prediction)

    def _fail(self, batch: Sequence[_Entry], code: TierCode) -> None:
        self.stats.failed += 1
        for entry in batch:
            self._reject(entry, code)

    def _remember(self, key: tuple[str, str], vector: Floats) -> None:
        # A row of the batch's array would keep the whole array alive.
        own = vector.copy()
        if _cached_bytes(own) <= self._cache.maxsize:
            self._cache[key] = own

    def _count(self, texts: int, embedded: int, began: float) -> None:
        self.stats.batches += 1
        self.stats.embedded += embedded
        self.stats.cached += texts - embedded
        self.stats.busy_secs += self._clock() - began

    def _reject(self, entry: _Entry, code: TierCode) -> None:
        self._forget(entry)
        for waiter in entry.waiters:
            if not waiter.done():
                waiter.set_exception(TierUnavailable(_NAME, code))

    def _forget(self, entry: _Entry) -> None:
        if self._entries.get(entry.text) is entry:
            del self._entries[entry.text]


def _cached_bytes(vector: Floats) -> int:
    """Bytes that a cache entry holds; texts are at most 512 characters, counted as 100."""
    return vector.nbytes + _ENTRY_BYTES + 100


def _predict(
    bundle: Bundle,
    keys: list[tuple[str, str]],
    known: dict[tuple[str, str], Floats],
    missing: list[str],
) -> tuple[Floats, list[Prediction]]:
    """On the worker thread: embed what the cache lacks; the new vectors and all predictions."""
    fresh = bundle.embed(missing)
    rest = iter(fresh)
    rows = [known[key] if key in known else next(rest) for key in keys]
    return fresh, bundle.classify(np.stack(rows), [text for _, text in keys])
