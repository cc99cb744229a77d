"""The batcher: many callers on the event loop, one bundle, a worker thread of its own.

``submit`` answers with futures at once. Texts wait in a bounded queue; whenever a worker is free,
the oldest ``batch_size`` of them go to it (a batch forms by itself while the worker is busy, there
is no timer). A text that is already under way is not embedded twice. All state but the embedding
itself lives on the event loop, so that no locks are needed.

>>> futures = batcher.submit(["ERROR <ip> refused"])        # doctest: +SKIP
>>> (await futures[0]).label                                # doctest: +SKIP
'Error'
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from waybill.core.clock import MONOTONIC, Clock
from waybill.core.errors import TierUnavailable
from waybill.core.names import SlowTierName
from waybill.core.reasons import TierCode
from waybill.core.records import Verdict
from waybill.labelling.model.answer import Prediction
from waybill.labelling.model.bundle import Bundle
from waybill.labelling.model.embeddings import Embeddings, Key
from waybill.labelling.model.encoders.base import Floats
from waybill.labelling.model.shadow import Shadow
from waybill.labelling.telemetry import Silent, Telemetry
from waybill.labelling.tier import Scope

__all__ = ["Batcher"]

log = logging.getLogger(__name__)

_NAME: SlowTierName = "model"
#: As the setting ``model.embedding_cache_bytes``, for a batcher that is not given a cache.
_CACHE_BYTES = 16_777_216


class _Entry:
    """A text under way and everyone who waits for it."""

    __slots__ = ("text", "waiters")

    def __init__(self, text: str) -> None:
        self.text = text
        self.waiters: list[asyncio.Future[Prediction]] = []


class Batcher:
    """Micro-batches texts for a `Bundle`. Use from one event loop; ``close`` before the loop ends.

    ``threads`` batches run side by side, each on its own thread; ``queue_messages`` bounds the
    texts that wait; ``embeddings`` are kept, outlive a new classifier and may be shared with other
    batchers; ``clock`` gives seconds and times the batches.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        batch_size: int = 32,
        threads: int = 1,
        queue_messages: int = 20_000,
        embeddings: Embeddings | None = None,
        telemetry: Telemetry | None = None,
        clock: Clock = MONOTONIC,
    ) -> None:
        self.bundle = bundle
        self._telemetry = telemetry or Silent()
        self._batch_size = batch_size
        self._threads = threads
        self._queue_messages = queue_messages
        self._clock = clock
        self._queue: deque[_Entry] = deque()
        self._entries: dict[str, _Entry] = {}
        self._embeddings = embeddings or Embeddings(_CACHE_BYTES)
        self._workers = ThreadPoolExecutor(threads, thread_name_prefix="waybill-model")
        self._running: set[asyncio.Future[None]] = set()
        self._is_closed = False
        #: The candidate that is asked beside the bundle, if there is to be one.
        self.shadow: Shadow | None = None

    @property
    def version(self) -> str:
        """``<bundle>@<version>`` of the bundle that the next batch will use."""
        return self.bundle.version

    def submit(self, texts: Sequence[str]) -> list[asyncio.Future[Prediction]]:
        """One future per text (masked by the caller), in order; equal texts share their work.

        Each future ends with a `Prediction` or with `TierUnavailable` (``failed``, ``closed``, and
        the ``encoder_*`` of an encoder that is a service). Raises `TierUnavailable`
        (``overloaded``, ``closed``) when none of the texts is taken.
        """
        if self._is_closed:
            self._telemetry.model_answered("refused", len(texts))
            raise TierUnavailable(_NAME, "closed")
        fresh = sum(text not in self._entries for text in set(texts))
        if fresh and len(self._queue) + fresh > self._queue_messages:
            self._telemetry.model_answered("refused", len(texts))
            raise TierUnavailable(_NAME, "overloaded")
        loop = asyncio.get_running_loop()
        futures = [self._join(text, loop.create_future()) for text in texts]
        self._telemetry.model_answered("shared", len(futures) - fresh)
        self._dispatch()
        return futures

    def swap(self, bundle: Bundle) -> None:
        """Use ``bundle`` from the next batch on.

        A batch under way ends with the one it began with.
        """
        self.bundle = bundle
        self._entries = {entry.text: entry for entry in self._queue}

    def note(self, text: str, verdict: Verdict, scope: Scope) -> None:
        """Let the candidate know what a text got, with its embedding where that helps."""
        shadow = self.shadow
        if shadow is None or shadow.bundle is None:
            return
        vector = None
        if shadow.bundle.encoder_hash == self.bundle.encoder_hash:
            key = (self.bundle.encoder_hash, text)
            vector = self._embeddings.known([key]).get(key)
        shadow.offer(text, verdict.label, scope, vector)

    async def close(self) -> None:
        """Take no more, reject what waits, answer what is under way. Can be called twice."""
        self._is_closed = True
        if self.shadow is not None:
            await self.shadow.close()
        waiting = list(self._queue)
        self._queue.clear()
        for entry in waiting:
            self._reject(entry, "closed")
        self._telemetry.model_queued(0)
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
        self._telemetry.model_queued(len(self._queue))

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
        try:
            predictions = await self._predict(batch)
        except TierUnavailable as error:  # an encoder that is a service; it logs its own troubles
            self._fail(batch, error.code)
        except asyncio.CancelledError:
            self._fail(batch, "closed")
            raise
        except Exception:  # onnxruntime's share no base class; counted, and only this batch fails
            log.exception("the model failed on a batch of %d", len(batch))
            self._fail(batch, "failed")
        else:
            for entry, prediction in zip(batch, predictions, strict=True):
                self._settle(entry, prediction)

    async def _predict(self, batch: Sequence[_Entry]) -> list[Prediction]:
        """What the bundle says of a batch, on a worker; embeds only what nobody else does."""
        bundle = self.bundle
        began = self._clock()
        keys = [(bundle.encoder_hash, entry.text) for entry in batch]
        known = self._embeddings.known(keys)
        theirs = [key for key in keys if self._embeddings.is_under_way(key)]
        embedded = 0
        if theirs:
            # Our own texts first: those who wait for them must not wait for what we wait for.
            ours = [key for key in keys if key not in known and key not in theirs]
            if ours:
                made, _ = await self._embed(bundle, ours, [], {})
                known.update(zip(ours, made, strict=True))
            embedded = len(ours)
            known |= await self._embeddings.wait_for(theirs)
        missing = [key for key in keys if key not in known]
        _, predictions = await self._embed(bundle, missing, keys, known)
        self._count(len(batch), embedded + len(missing), began)
        return predictions

    async def _embed(
        self,
        bundle: Bundle,
        missing: Sequence[Key],
        keys: Sequence[Key],
        known: dict[Key, Floats],
    ) -> tuple[Floats, list[Prediction]]:
        """The vectors of ``missing``, kept and shared, and the predictions for ``keys``."""
        loop = asyncio.get_running_loop()
        texts = [text for _, text in missing]
        self._embeddings.begin(missing)
        try:
            vectors, predictions = await loop.run_in_executor(
                self._workers, _predict, bundle, keys, known, texts
            )
        except BaseException:
            self._embeddings.finish(missing, None)
            raise
        self._embeddings.finish(missing, vectors)
        return vectors, predictions

    def _settle(self, entry: _Entry, prediction: Prediction) -> None:
        self._forget(entry)
        for waiter in entry.waiters:
            if not waiter.done():
                waiter.set_result(prediction)

    def _fail(self, batch: Sequence[_Entry], code: TierCode) -> None:
        self._telemetry.model_answered("failed", len(batch))
        for entry in batch:
            self._reject(entry, code)

    def _count(self, texts: int, embedded: int, began: float) -> None:
        self._telemetry.model_answered("embedded", embedded)
        self._telemetry.model_answered("cached", texts - embedded)
        self._telemetry.model_batch_took(self._clock() - began)

    def _reject(self, entry: _Entry, code: TierCode) -> None:
        self._forget(entry)
        for waiter in entry.waiters:
            if not waiter.done():
                waiter.set_exception(TierUnavailable(_NAME, code))

    def _forget(self, entry: _Entry) -> None:
        if self._entries.get(entry.text) is entry:
            del self._entries[entry.text]


def _predict(
    bundle: Bundle,
    keys: Sequence[Key],
    known: dict[Key, Floats],
    missing: Sequence[str],
) -> tuple[Floats, list[Prediction]]:
    """On the worker thread: embed what the cache lacks; the new vectors and all predictions."""
    fresh = bundle.embed(missing)
    if not keys:
        return fresh, []
    rest = iter(fresh)
    rows = [known[key] if key in known else next(rest) for key in keys]
    return fresh, bundle.classify(np.stack(rows), [text for _, text in keys])
