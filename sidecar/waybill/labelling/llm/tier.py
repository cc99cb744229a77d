"""The LLM tier: many callers on the event loop, few calls to a slow and costly provider.

`LlmTier.submit` answers with futures at once. What is asked is cleaned, looked up in the store, and
if nobody has asked it before, queued; a text under way is not asked twice.
Workers take packs from the queue when the guards let them, and settle the futures; a batch that
could not wait that long has its verdict the next time. All state lives on the event loop: no locks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from waybill.core.again import again_and_again
from waybill.core.clock import EPOCH, Clock
from waybill.core.errors import TierUnavailable
from waybill.core.names import BreakerState, SlowTierName
from waybill.core.reasons import AnswerCode, TierCode
from waybill.core.records import Verdict
from waybill.labelling.llm.audit import Audit
from waybill.labelling.llm.calls import Caller
from waybill.labelling.llm.errors import BadAnswer, PrivacyError, Refused, StoreError
from waybill.labelling.llm.guards import Guards
from waybill.labelling.llm.packs import PackQueue
from waybill.labelling.llm.privacy import Privacy, has_words
from waybill.labelling.llm.prompt import Prompt
from waybill.labelling.llm.providers.base import Provider
from waybill.labelling.llm.store import Judgement, VerdictStore, judgement_key
from waybill.labelling.llm.waiting import Item, Waiter
from waybill.labelling.telemetry import Telemetry
from waybill.labelling.tier import Answer, Scope
from waybill.settings.schema import LlmSettings

log = logging.getLogger(__name__)
_NAME: SlowTierName = "llm"
#: Texts cleaned between two turns of the event loop (0.6 ms; 12 ms for texts made to be slow).
_CLEAN_SLICE = 2
#: How long the store may take to close down with what it has to write.
_CLOSE_SECS = 5.0


class LlmTier:
    """The language model as a `waybill.labelling.tier.Tier`: `start` it, `close` it in the end."""

    name: SlowTierName = _NAME
    most_texts = 1 << 62  # of a batch it takes as many as have room

    def __init__(
        self,
        settings: LlmSettings,
        provider: Provider,
        prompt: Prompt,
        store: VerdictStore,
        guards: Guards,
        telemetry: Telemetry,
        audit: Audit | None = None,
        clock: Clock = EPOCH,
    ) -> None:
        self._settings = settings
        self._provider = provider
        self._store = store
        self._guards = guards
        self._telemetry = telemetry
        self._clock = clock
        self._caller = Caller(settings, provider, guards, telemetry, audit)
        self._privacy = Privacy(settings.private_patterns)
        self.wait_secs = settings.wait_ms / 1000
        self.swap_prompt(prompt)
        self._items: dict[str, Item] = {}
        self._fresh: list[Waiter] = []
        self._queue = PackQueue(settings.pack_messages, settings.pack_chars)
        self._is_fresh = asyncio.Event()
        self._packing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._writes: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def breaker_state(self) -> BreakerState:
        """The circuit breaker's state."""
        return self._guards.breaker.state

    def start(self) -> None:
        """Begin to work."""
        self._telemetry.llm_breaker(self.breaker_state)
        work = [self._look_up_fresh, *[self._ask_next] * self._settings.calls]
        self._tasks = [asyncio.create_task(again_and_again("the LLM tier", one)) for one in work]

    def swap_prompt(self, prompt: Prompt) -> None:
        """Ask with ``prompt`` from now on; what is under way ends with the one it began with."""
        self.prompt = prompt
        #: With the model, ``<model>@<hash of the prompt>``: a verdict's ``rule``.
        self.version = f"{self._provider.model}@{prompt.version}"
        #: Texts under way, as the pipeline gave them.
        self._waiters: dict[tuple[str, tuple[str, ...]], Waiter] = {}

    async def close(self) -> None:
        """Take no more, reject what waits, close provider and store. Can be called twice."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for item in list(self._items.values()):
            self._reject(item, "closed")
        for waiter in [*self._waiters.values(), *self._fresh]:
            self._end(waiter, TierUnavailable(_NAME, "closed"))
        if self._writes:
            await asyncio.wait(self._writes, timeout=_CLOSE_SECS)
        await self._provider.close()
        await self._store.close()

    def submit(self, texts: Sequence[str], scope: Scope) -> Sequence[Answer]:
        """One future per masked message, in order; equal ones share it.

        Each ends with a verdict or with `TierUnavailable`: ``overloaded``, ``closed``, a code of
        `Refused`, `ProviderError` or `BadAnswer`, ``private`` (could not be cleaned) or ``audit``.
        """
        labels = self.prompt.permitted(scope)
        before = len(self._fresh)
        waiters = [self._waiter(text, labels, scope.sources) for text in texts]
        refused = sum(waiter.is_refused for waiter in waiters)
        fresh = len(self._fresh) - before
        self._telemetry.llm_refused(self._refusal(), refused)
        self._telemetry.llm_found("shared", len(waiters) - fresh - refused)
        if fresh:
            self._is_fresh.set()
            self._telemetry.llm_queued(len(self._waiters))
        return [waiter.future for waiter in waiters]

    def _waiter(self, text: str, labels: tuple[str, ...], sources: tuple[str, ...]) -> Waiter:
        """The waiter for a text: one under way, a fresh one, or one that is refused already."""
        waiter = self._waiters.get((text, labels))
        if waiter is not None:
            return waiter
        waiter = Waiter(text, labels, sources)
        if self._is_closed or len(self._waiters) >= self._settings.queue_messages:
            waiter.is_refused = True
            waiter.end(TierUnavailable(_NAME, self._refusal()))
        else:
            self._waiters[text, labels] = waiter
            self._fresh.append(waiter)
        return waiter

    def _refusal(self) -> TierCode:
        """Why a text is not taken."""
        return "closed" if self._is_closed else "overloaded"

    async def consult(self, text: str, scope: Scope) -> Verdict:
        """What the store knows of a text; nobody is asked, for that has a price.

        Raises TierUnavailable (``private``).
        """
        try:
            cleaned = self._privacy.clean(text)
        except PrivacyError:
            raise TierUnavailable(_NAME, "private") from None
        if not has_words(cleaned):
            return self.prompt.taxonomy.unclassified("llm_nothing_to_read")
        labels = self.prompt.permitted(scope)
        key = judgement_key(cleaned, labels, self.version)
        try:
            label = (await self._store.get([key])).get(key)
        except StoreError:
            label = None
        if label is None or label not in (*labels, self.prompt.taxonomy.fallback):
            return self.prompt.taxonomy.unclassified("llm_not_asked")
        return self.prompt.verdict(label, self.version)

    # Looking up: fresh waiters become items; what the store knows is settled, the rest is queued.

    async def _look_up_fresh(self) -> None:
        await self._is_fresh.wait()
        self._is_fresh.clear()
        fresh = self._fresh
        self._fresh = []
        items: list[Item] = []
        try:
            for n, waiter in enumerate(fresh, 1):
                items += self._admit(waiter)
                if n % _CLEAN_SLICE == 0:
                    await asyncio.sleep(0)
            await self._look_up(items)
        except Exception:
            for item in items:
                self._reject(item, "failed")
            for waiter in fresh:
                self._end(waiter, TierUnavailable(_NAME, "failed"))
            raise

    def _admit(self, waiter: Waiter) -> list[Item]:
        """The item for a waiter; none when it has joined one or is settled already."""
        try:
            text = self._privacy.clean(waiter.text)
        except PrivacyError as error:
            self._turn_away(waiter, error.code)
            return []
        if not has_words(text):
            self._end(waiter, self.prompt.taxonomy.unclassified("llm_nothing_to_read"))
            return []
        item = Item(text, waiter, self.prompt, self.version)
        reason = self._queue.quarantined(item)
        if reason is not None:
            self._turn_away(waiter, reason)
            return []
        known = self._items.get(item.key)
        if known is not None:
            known.waiters.append(waiter)
            self._telemetry.llm_found("shared", 1)
            return []
        self._items[item.key] = item
        return [item]

    def _turn_away(self, waiter: Waiter, code: TierCode) -> None:
        self._telemetry.llm_refused(code, 1)
        self._end(waiter, TierUnavailable(_NAME, code))

    async def _look_up(self, items: Sequence[Item]) -> None:
        """Settle what the store knows and queue the rest."""
        if not items:
            return
        stored: Mapping[str, str] = {}
        try:
            stored = await self._store.get([item.key for item in items])
        except StoreError as error:
            self._telemetry.llm_store_failed(error.code)
        unknown: list[Item] = []
        fallback = self.prompt.taxonomy.fallback
        for item in items:
            label = stored.get(item.key)
            # A shared store is outside; its word counts only within the route's set.
            if label is not None and (label in item.labels or label == fallback):
                self._settle(item, self.prompt.verdict(label, item.version))
            else:
                unknown.append(item)
        self._telemetry.llm_found("stored", len(items) - len(unknown))
        self._telemetry.llm_found("asked", len(unknown))
        self._queue.put(unknown)

    async def _ask_next(self) -> None:
        """Ask one pack, when the guards let this worker."""
        try:
            async with self._packing:
                await self._queue.wait(self._settings.pack_wait_ms / 1000)
                call = await self._guards.admit()
                pack = self._queue.take()
        except Refused as refusal:
            self._refuse_queue(refusal.code)
            return
        if not pack:  # it was refused while this worker waited for its turn
            self._guards.breaker.released()
            await self._guards.leave(call, was_made=False)
            return
        try:
            await self._ask(call, pack)
        finally:
            self._telemetry.llm_breaker(self._guards.breaker.state)

    async def _ask(self, call: str, pack: Sequence[Item]) -> None:
        """Ask one pack and settle it, whatever comes of it."""
        try:
            question = pack[0].prompt.compose([item.text for item in pack], pack[0].labels)
            labels = await self._caller.ask(call, question)
        except Refused as refusal:
            self._refuse(pack, refusal.code)
        except BadAnswer as answer:
            self._split(pack, answer.code)
        except Exception:
            self._guards.breaker.failed()
            self._refuse(pack, "failed")
            raise
        else:
            self._keep(pack, labels)

    def _split(self, pack: Sequence[Item], code: AnswerCode) -> None:
        """Ask a thrown away pack again in smaller ones.

        A line that spoils its answer alone is quarantined.
        """
        if code == "bad_answer" or len(pack) == 1:
            self._guards.breaker.failed()
        else:
            self._guards.breaker.released()
        log.warning("an LLM answer was thrown away", extra={"reason": code, "lines": len(pack)})
        if len(pack) > 1:
            self._queue.put_halves(pack)
            return
        self._queue.quarantine(pack[0], code)
        self._refuse(pack, code)

    def _keep(self, pack: Sequence[Item], labels: Sequence[str | None]) -> None:
        """Settle a pack with the labels it got and have the store keep them."""
        judgements: list[Judgement] = []
        now = self._clock()
        for item, label in zip(pack, labels, strict=True):
            self._queue.forgive(item)
            if label is None:
                self._settle(
                    item, self.prompt.taxonomy.unclassified("llm_out_of_set", rule=item.version)
                )
            else:
                self._settle(item, self.prompt.verdict(label, item.version))
                judgements.append(item.judgement(label, now))
        if judgements:
            task = asyncio.create_task(self._write(judgements))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)

    async def _write(self, judgements: Sequence[Judgement]) -> None:
        try:
            await self._store.put(judgements)
        except StoreError as error:
            self._telemetry.llm_store_failed(error.code)

    def _refuse_queue(self, code: TierCode) -> None:
        """Nobody can be asked for now: what waits goes on without a label."""
        self._refuse(self._queue.take_all(), code)
        self._telemetry.llm_breaker(self._guards.breaker.state)

    def _refuse(self, pack: Sequence[Item], code: TierCode) -> None:
        self._telemetry.llm_refused(code, len(pack))
        for item in pack:
            self._reject(item, code)

    def _settle(self, item: Item, verdict: Verdict) -> None:
        self._items.pop(item.key, None)
        for waiter in item.waiters:
            self._end(waiter, verdict)

    def _reject(self, item: Item, code: TierCode) -> None:
        self._items.pop(item.key, None)
        for waiter in item.waiters:
            self._end(waiter, TierUnavailable(_NAME, code))

    def _end(self, waiter: Waiter, outcome: Verdict | TierUnavailable) -> None:
        if self._waiters.get((waiter.text, waiter.labels)) is waiter:
            del self._waiters[waiter.text, waiter.labels]
            self._telemetry.llm_queued(len(self._waiters))
        waiter.end(outcome)
