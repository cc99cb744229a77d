"""One body's way: bytes in, records decoded, labelled and handed back; then, and only then, done.

    ingest -> Flow.run: inflate -> decode -> label -> hand back -> answer

Returning means that the receiver has every record (or, with ``return.type: body``, that the answer
carries them). Any exception means that the shipper still owns them and must come back, or, for
`MalformedError`, that nobody can ever read them and the dead-letter folder has been offered the
body.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from waybill.core.batch import Batch, ScanBudget, explain_specials
from waybill.core.errors import HandbackError, MalformedError, OverloadedError, SlowToReadError
from waybill.core.names import Ingest
from waybill.core.records import Verdict
from waybill.core.turns import count_in_turns, in_turns
from waybill.flow.delivery import Delivery
from waybill.flow.inflating import inflate_body
from waybill.flow.inflight import RECORD_BYTES, WORK_TIMES, Grow, Inflight
from waybill.handback.handback import Handback
from waybill.labelling.several import BatchLabeller
from waybill.ops.deadletter import DeadLetters
from waybill.ops.metrics import Metrics
from waybill.settings.schema import LimitSettings
from waybill.wire import Codec, Wire

log = logging.getLogger(__name__)
#: Up to this a body is decoded on the event loop: records of 25 bytes, the densest that need no
#: second look, take 3 µs each, so 50 ms; those of 400 bytes 3 ms.
_INLINE_BYTES = 384 << 10
#: The same for JSON of few values, as most shippers send it. A thread takes turns with the event
#: loop, which costs a sixth of what all work on such a body does (1,000 records of 900 bytes).
_INLINE_JSON_BYTES = 4 << 20
#: So many records take 45 ms at most, however few bytes each has.
_INLINE_RECORDS = 15_000
#: And so many values, of which each ends with a comma, 20 ms.
_INLINE_VALUES = 200_000
#: What must be read byte by byte in Python takes 0.5 µs a byte, so 16 ms.
_INLINE_SCAN_BYTES = 32 << 10
#: One byte in so many is looked at to estimate records and values. It is prime, so that what recurs
#: in a body meets it evenly.
_LOOK_EVERY = 61
#: Messages of large bodies are cut here at the earliest: beyond all that the model's mask looks at.
_LEAST_CUT_CHARS = 64 << 10
#: Special records between two turns of the event loop, 0.3 to 1 µs each.
_TURN_SPECIALS = 8192


class Flow:
    """Carries deliveries through the service."""

    def __init__(
        self,
        wire: Wire,
        labeller: BatchLabeller,
        handback: Handback,
        limits: LimitSettings,
        metrics: Metrics,
        dead_letters: DeadLetters,
        inflight: Inflight,
        *,
        pushes: int = 4,
        slot_secs: float = 10.0,
    ) -> None:
        """``slot_secs`` is how long a batch waits for its turn among ``pushes`` at once."""
        self.wire = wire
        self.labeller = labeller
        self.handback = handback
        self.is_draining = False
        self._limits = limits
        self._metrics = metrics
        self._slot_secs = slot_secs
        self._dead_letters = dead_letters
        self._inflight = inflight
        #: Decoders do not let threads work side by side: two large bodies at once would only take
        #: twice the memory.
        self._large = asyncio.Semaphore(1)
        #: The same for small ones, which must not wait for large ones.
        self._slow_reading = asyncio.Semaphore(1)
        #: A shipper that comes back after an outage sends all it has at once. What cannot be pushed
        #: yet waits as the body it came in, not as the several copies that a push needs.
        self._push_slots = asyncio.Semaphore(pushes)
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self, delivery: Delivery, grow: Grow) -> bytes | None:
        """Label one body and hand its records back; the answer's body, or None.

        ``grow`` belongs to the `Inflight` hold that already accounts for ``delivery.body``.

        Raises:
            MalformedError: the body can never be read; it was offered to the dead-letter folder.
            OverloadedError: not now (draining, too much in flight).
            HandbackError: the receiver did not take the records.
        """
        if self.is_draining and not delivery.is_final:
            raise OverloadedError("draining", retry_after_secs=5)
        self._running += 1
        self._idle.clear()
        begin = time.perf_counter()
        try:
            return await self._run(delivery, grow)
        except MalformedError as error:
            error.is_kept = await self._dead_letters.keep(
                delivery.body, error.code, delivery.encodings
            )
            raise
        finally:
            self._metrics.batch_seconds.labels(delivery.ingest).observe(time.perf_counter() - begin)
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def _run(self, delivery: Delivery, grow: Grow) -> bytes | None:
        body = delivery.body
        if delivery.encodings:
            body = await inflate_body(delivery, self._limits.body_bytes, self._inflight)
            grow(len(body))
        async with self._inflight.work(len(body)) as grow_work:
            codec, batch = await self._decode(body, delivery)
            more = WORK_TIMES * max(0, len(batch.body) - len(body))  # text became JSON
            if grow_work(more + RECORD_BYTES * batch.weight):
                return await self._label(body, delivery, codec, batch)
            size, records = max(len(batch.body), len(body)), batch.weight
            del codec, batch
        # More than there was room for beside other bodies: once more, when there is.
        async with self._inflight.work(size, records):
            codec, batch = await self._decode(body, delivery)
            return await self._label(body, delivery, codec, batch)

    async def _label(
        self, body: bytes, delivery: Delivery, codec: Codec, batch: Batch
    ) -> bytes | None:
        await self._count_received(delivery.ingest, body, batch)
        verdicts = await self.labeller.label(batch.messages, batch.sources)
        async for specials in in_turns(list(batch.specials), _TURN_SPECIALS):
            explain_specials(batch, verdicts, self.labeller.passed, specials)
            self._note_kept(batch, verdicts, specials)
        counts = await count_in_turns(verdicts)
        self.labeller.counted(counts)
        answer = await self._hand_back(codec, batch, verdicts)
        if batch.fault is not None:
            self._note_failed(batch, batch.fault, verdicts)
            counts = await count_in_turns(verdicts)
        self._metrics.count_verdicts(counts, self.labeller.taxonomy.fallback, self.labeller.names)
        await batch.end()
        return answer

    def _note_kept(self, batch: Batch, verdicts: list[Verdict], specials: Iterable[int]) -> None:
        """Give ``specials`` that keep the label they came with the verdict that says so."""
        for i in specials:
            kept = self.wire.plan.policy.kept(batch.specials[i])
            if kept:
                verdicts[i] = self.labeller.keep(verdicts[i], kept)

    async def _decode(self, body: bytes, delivery: Delivery) -> tuple[Codec, Batch]:
        decode = functools.partial(self.wire.decode, body, delivery.content_type, delivery.tag)
        if not _is_quick(body):
            async with self._large:
                return await asyncio.to_thread(self._decode_and_cut, decode)
        with contextlib.suppress(SlowToReadError):
            return decode(budget=ScanBudget(_INLINE_SCAN_BYTES, _INLINE_RECORDS))
        async with self._slow_reading:
            return await asyncio.to_thread(self._decode_and_cut, decode)

    def _decode_and_cut(self, decode: Callable[[], tuple[Codec, Batch]]) -> tuple[Codec, Batch]:
        """Decode, and keep of each message what the tiers read.

        Rules look no further than the cut, the model not nearly as far. Bodies that are decoded on
        the event loop are too small to hold long messages.
        """
        codec, batch = decode()
        cut = max(self._limits.message_bytes, _LEAST_CUT_CHARS)
        for i, message in enumerate(batch.messages):
            if message is not None and len(message) > cut:
                batch.messages[i] = message[:cut]
        return codec, batch

    async def _hand_back(
        self, codec: Codec, batch: Batch, verdicts: Sequence[Verdict]
    ) -> bytes | None:
        name = self.handback.name
        begin = time.perf_counter()
        try:
            async with self._push_slot():
                answer = await self.handback.hand_back(codec, batch, verdicts)
        except HandbackError as error:
            self._metrics.handback_errors.labels(name, error.code).inc()
            raise
        finally:
            self._metrics.handback_seconds.labels(name).observe(time.perf_counter() - begin)
        self._metrics.records_handed_back.labels(name).inc(len(batch))
        return answer

    @contextlib.asynccontextmanager
    async def _push_slot(self) -> AsyncIterator[None]:
        """A context in which one batch may be pushed. Raises HandbackError ``timeout``."""
        try:
            async with asyncio.timeout(self._slot_secs):
                await self._push_slots.acquire()
        except TimeoutError:
            raise HandbackError("timeout", "other batches keep the receiver busy") from None
        try:
            yield
        finally:
            self._push_slots.release()

    async def _count_received(self, ingest: Ingest, body: bytes, batch: Batch) -> None:
        self._metrics.batches_received.labels(ingest).inc()
        self._metrics.records_received.labels(ingest).inc(len(batch))
        self._metrics.bytes_received.labels(ingest).inc(len(body))
        passed: Counter[str] = Counter()
        async for some in in_turns(list(batch.specials.values()), _TURN_SPECIALS):
            passed.update([special.reason or "odd_spelling" for special in some])
        del passed["record_failed"]  # there may be more before the batch is done
        for reason, count in passed.items():
            self._metrics.records_passed.labels(reason).inc(count)

    def _note_failed(self, batch: Batch, fault: Exception, verdicts: list[Verdict]) -> None:
        """Give records that went on as they came because handling them raised the verdict that says
        so; count and log them.
        """
        failed = list(filter(batch.is_set_aside, batch.specials))
        for i in failed:
            verdicts[i] = self.labeller.passed["record_failed"]
        self._metrics.records_passed.labels("record_failed").inc(len(failed))
        log.error(
            "records passed on as they came: handling them failed in an unforeseen way",
            extra={"records": len(failed), "reason": "record_failed"},
            exc_info=fault,
        )

    async def drain(self, timeout_secs: float) -> bool:
        """Refuse what is new and wait for what is under way; whether all of it ended in time."""
        self.is_draining = True
        try:
            async with asyncio.timeout(timeout_secs):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True


def _is_quick(body: bytes) -> bool:
    """Whether a body can probably be decoded on the event loop; its `ScanBudget` makes sure."""
    if len(body) <= _INLINE_BYTES:
        return True
    if len(body) > _INLINE_JSON_BYTES or body[:1] not in (b"[", b"{"):
        return False
    looked_at = body[::_LOOK_EVERY]  # counting in all of it would take as long as writing it
    if looked_at.count(b"{") > _INLINE_RECORDS // _LOOK_EVERY:
        return False
    return looked_at.count(b",") <= _INLINE_VALUES // _LOOK_EVERY
