"""The LLM tier: many callers on the event loop, few calls to a slow and costly provider.

`LlmTier.submit` answers with futures at once. What is asked is cleaned, looked up in the store, and if
nobody has asked it before, queued; a text under way is not asked twice, whoever waits for it. Workers
take packs from the queue when the guards let them, and settle the futures; a batch that could not wait
that long has its verdict the next time. All state lives on the event loop, so there are no locks.

An answer that is thrown away (see `waybill.labelling.llm.prompt`) has its lines asked again in packs of
half the size, down to single lines, so that a line which spoils answers ends up alone.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from cachetools import LRUCache, TTLCache

from waybill.core.errors import TierUnavailable
from waybill.core.names import BreakerState, SlowTierName
from waybill.core.reasons import AnswerCode, TierCode
from waybill.core.records import Verdict
from waybill.labelling.llm.audit import Audit
from waybill.labelling.llm.calls import Caller
from waybill.labelling.llm.guards import Guards, Refused
from waybill.labelling.llm.privacy import Privacy, PrivacyError
from waybill.labelling.llm.prompt import BadAnswer, Prompt
from waybill.labelling.llm.provider import Provider
from waybill.labelling.llm.store import Judgement, StoreError, VerdictStore, judgement_key
from waybill.labelling.telemetry import Telemetry
from waybill.labelling.tier import Answer, Scope
from waybill.settings.schema import LlmSettings

log = logging.getLogger(__name__)
_NAME: SlowTierName = "llm"
_PLACEHOLDER = re.compile(r"<[a-z]+>")
#: Texts cleaned between two turns of the event loop (about 1 ms; 6 ms for texts made to be slow).
_CLEAN_SLICE = 16
#: For so long a line that spoils answers is not asked again, and so many of them are known.
_SHUN_SECS, _SHUNNED = 600.0, 10_000
#: How long a worker rests after an error that nobody has thought of.
_RECOVERY_SECS = 1.0
#: How long the store may take to close down with what it has to write.
_CLOSE_SECS = 5.0


class _Item:
    """A cleaned text with what it is to be judged by, and everyone who waits for it."""

    __slots__ = ("key", "labels", "prompt", "sources", "text", "version", "waiters")

    def __init__(
        self,
        text: str,
        labels: tuple[str, ...],
        sources: tuple[str, ...],
        prompt: Prompt,
        version: str,
    ):
        self.text, self.labels, self.sources, self.prompt = text, labels, sources, prompt
        self.version = version
        self.key = judgement_key(text, labels, version)
        self.waiters: list[_Waiter] = []


class _Waiter:
    """A masked text as the pipeline gave it, and its future."""

    __slots__ = ("future", "labels", "sources", "text")

    def __init__(self, text: str, labels: tuple[str, ...], sources: tuple[str, ...]) -> None:
        self.text, self.labels, self.sources = text, labels, sources
        self.future: asyncio.Future[Verdict | None] = asyncio.get_running_loop().create_future()


class LlmTier:
    """The language model as a `waybill.labelling.pipeline.SlowTier`. `start` it; `close` it in the end."""

    name: SlowTierName = _NAME

    def __init__(
        self,
        settings: LlmSettings,
        provider: Provider,
        prompt: Prompt,
        store: VerdictStore,
        guards: Guards,
        telemetry: Telemetry,
        audit: Audit | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._provider = settings, provider
        self._store = store
        self._guards = guards
        self._telemetry = telemetry
        self._wall = wall
        self._caller = Caller(settings, provider, guards, telemetry, audit)
        self._privacy = Privacy(settings.private_patterns)
        self.wait_secs = settings.wait_ms / 1000
        self.swap_prompt(prompt)
        self._items: dict[str, _Item] = {}
        self._fresh: list[_Waiter] = []
        self._queue: deque[_Item] = deque()
        self._is_fresh, self._is_queued = asyncio.Event(), asyncio.Event()
        self._packing = asyncio.Lock()
        #: Key -> the pack it may be in, for lines whose packs were thrown away; and those that spoil alone.
        self._pack_limits: LRUCache[str, int] = LRUCache(_SHUNNED)
        self._shunned: TTLCache[str, AnswerCode] = TTLCache(_SHUNNED, _SHUN_SECS)
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
        work = [self._look_up_fresh] + [self._ask_next] * self._settings.calls
        self._tasks = [asyncio.create_task(_always(one)) for one in work]

    def swap_prompt(self, prompt: Prompt) -> None:
        """Ask with ``prompt`` from now on; what is under way ends with the one it began with."""
        #: The prompt in force, and with the model as ``<model>@<hash of the prompt>``: a verdict's ``rule``.
        self.prompt, self.version = prompt, f"{self._provider.model}@{prompt.version}"
        #: Texts under way, as the pipeline gave them.
        self._waiters: dict[tuple[str, tuple[str, ...]], _Waiter] = {}

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
        labels = self._permitted(scope)
        before = len(self._fresh)
        refused = 0
        futures = []
        for text in texts:
            waiter = self._waiters.get((text, labels))
            if waiter is None:
                waiter = _Waiter(text, labels, scope.sources)
                if self._is_closed or len(self._waiters) >= self._settings.queue_messages:
                    waiter.future.set_exception(
                        TierUnavailable(_NAME, "closed" if self._is_closed else "overloaded")
                    )
                    refused += 1
                else:
                    self._waiters[text, labels] = waiter
                    self._fresh.append(waiter)
            futures.append(waiter.future)
        if refused:
            self._telemetry.llm_refused("closed" if self._is_closed else "overloaded", refused)
        fresh = len(self._fresh) - before
        self._telemetry.llm_found("shared", len(futures) - fresh - refused)
        if fresh:
            self._is_fresh.set()
            self._telemetry.llm_queued(len(self._waiters))
        return futures

    async def consult(self, text: str, scope: Scope) -> Verdict:
        """What the store knows of a text; nobody is asked, for that has a price.

        Raises TierUnavailable (``private``).
        """
        try:
            cleaned = self._privacy.clean(text)
        except PrivacyError:
            raise TierUnavailable(_NAME, "private") from None
        if not _has_words(cleaned):
            return self.prompt.taxonomy.unclassified("llm_nothing_to_read")
        labels = self._permitted(scope)
        key = judgement_key(cleaned, labels, self.version)
        try:
            label = (await self._store.get([key])).get(key)
        except StoreError:
            label = None
        if label is None or label not in (*labels, self.prompt.taxonomy.fallback):
            return self.prompt.taxonomy.unclassified("llm_not_asked")
        return self._verdict(label, self.version)

    def _permitted(self, scope: Scope) -> tuple[str, ...]:
        """The labels that can be asked for, in the order of the taxonomy."""
        taxonomy = self.prompt.taxonomy
        return tuple(
            label for label in taxonomy.names if label != taxonomy.fallback and scope.permits(label)
        )

    def _verdict(self, label: str, version: str) -> Verdict:
        taxonomy = self.prompt.taxonomy
        if label == taxonomy.fallback:
            return taxonomy.unclassified("none_of_these", "llm", rule=version)
        return Verdict(label, "llm", None, version)

    # Looking up: fresh waiters become items; what the store knows is settled, the rest is queued.

    async def _look_up_fresh(self) -> None:
        await self._is_fresh.wait()
        self._is_fresh.clear()
        fresh, self._fresh = self._fresh, []
        items: list[_Item] = []
        try:
            for n, waiter in enumerate(fresh, 1):
                if (item := self._admit(waiter)) is not None:
                    items.append(item)
                if n % _CLEAN_SLICE == 0:
                    await asyncio.sleep(0)
            await self._look_up(items)
        except Exception:
            for item in items:
                self._reject(item, "failed")
            for waiter in fresh:
                self._end(waiter, TierUnavailable(_NAME, "failed"))
            raise

    def _admit(self, waiter: _Waiter) -> _Item | None:
        """The item for a waiter, or None when it has joined one or is settled already."""
        try:
            text = self._privacy.clean(waiter.text)
        except PrivacyError:
            self._telemetry.llm_refused("private", 1)
            self._end(waiter, TierUnavailable(_NAME, "private"))
            return None
        if not _has_words(text):
            self._end(waiter, self.prompt.taxonomy.unclassified("llm_nothing_to_read"))
            return None
        item = _Item(text, waiter.labels, waiter.sources, self.prompt, self.version)
        if (reason := self._shunned.get(item.key)) is not None:
            self._telemetry.llm_refused(reason, 1)
            self._end(waiter, TierUnavailable(_NAME, reason))
            return None
        if (known := self._items.get(item.key)) is not None:
            known.waiters.append(waiter)
            self._telemetry.llm_found("shared", 1)
            return None
        item.waiters.append(waiter)
        self._items[item.key] = item
        return item

    async def _look_up(self, items: Sequence[_Item]) -> None:
        stored: Mapping[str, str] = {}
        try:
            stored = await self._store.get([item.key for item in items]) if items else {}
        except StoreError as error:
            self._telemetry.llm_store_failed(error.code)
        hits = 0
        for item in items:
            label = stored.get(item.key)
            # A shared store is outside; its word counts only within the route's set.
            if label is not None and (
                label in item.labels or label == self.prompt.taxonomy.fallback
            ):
                self._settle(item, self._verdict(label, item.version))
                hits += 1
            else:
                self._queue.append(item)
        self._telemetry.llm_found("stored", hits)
        self._telemetry.llm_found("asked", len(items) - hits)
        if self._queue:
            self._is_queued.set()

    # Asking: workers take packs when the guards let them.

    async def _ask_next(self) -> None:
        try:
            async with self._packing:
                await self._is_queued.wait()
                if len(self._queue) < self._settings.pack_messages:
                    await asyncio.sleep(self._settings.pack_wait_ms / 1000)
                call = await self._guards.admit()
                pack = self._take()
        except Refused as refusal:
            self._refuse_queue(refusal.code)
            return
        if not pack:  # it was refused while this worker waited for its turn
            self._guards.breaker.released()
            await self._guards.leave(call, was_made=False)
            return
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
        finally:
            self._telemetry.llm_breaker(self._guards.breaker.state)

    def _take(self) -> list[_Item]:
        """The oldest item and others of the same kind, as many as may go into one call with it."""
        pack: list[_Item] = []
        rest: deque[_Item] = deque()
        room, chars = self._settings.pack_messages, self._settings.pack_chars
        while self._queue and len(pack) < room:
            item = self._queue.popleft()
            limit = min(room, self._pack_limits.get(item.key, room))
            is_like = not pack or (item.labels == pack[0].labels and item.prompt is pack[0].prompt)
            if pack and (not is_like or limit <= len(pack) or len(item.text) > chars):
                rest.append(item)
                continue
            pack.append(item)
            room, chars = limit, chars - len(item.text)
        self._queue = rest + self._queue
        if not self._queue:
            self._is_queued.clear()
        return pack

    def _split(self, pack: Sequence[_Item], code: AnswerCode) -> None:
        """Ask a thrown away pack again in smaller ones; a line that spoils its answer alone is shunned."""
        if code == "bad_answer" or len(pack) == 1:
            self._guards.breaker.failed()
        else:
            self._guards.breaker.released()
        log.warning("an LLM answer was thrown away", extra={"reason": code, "lines": len(pack)})
        if len(pack) == 1:
            self._shunned[pack[0].key] = code
            self._refuse(pack, code)
            return
        for item in pack:
            self._pack_limits[item.key] = len(pack) // 2
        # At the end, so that others are asked between the halves and one spoiler cannot open the breaker.
        self._queue.extend(pack)
        self._is_queued.set()

    def _keep(self, pack: Sequence[_Item], labels: Sequence[str | None]) -> None:
        """Settle a pack with the labels it got and have the store keep them."""
        judgements = []
        for item, label in zip(pack, labels, strict=True):
            self._pack_limits.pop(item.key, None)
            if label is None:
                self._settle(
                    item, self.prompt.taxonomy.unclassified("llm_out_of_set", rule=item.version)
                )
                continue
            self._settle(item, self._verdict(label, item.version))
            judgements.append(
                Judgement(
                    item.key,
                    item.text,
                    label,
                    item.labels,
                    item.sources,
                    item.version,
                    self._wall(),
                )
            )
        if judgements:
            task = asyncio.create_task(self._write(judgements))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)

    async def _write(self, judgements: Sequence[Judgement]) -> None:
        try:
            await self._store.put(judgements)
        except StoreError as error:
            self._telemetry.llm_store_failed(error.code)

    # Settling.

    def _refuse_queue(self, code: TierCode) -> None:
        """Nobody can be asked for now: what waits goes on without a label."""
        pack = list(self._queue)
        self._queue.clear()
        self._is_queued.clear()
        self._refuse(pack, code)
        self._telemetry.llm_breaker(self._guards.breaker.state)

    def _refuse(self, pack: Sequence[_Item], code: TierCode) -> None:
        self._telemetry.llm_refused(code, len(pack))
        for item in pack:
            self._reject(item, code)

    def _settle(self, item: _Item, verdict: Verdict) -> None:
        self._items.pop(item.key, None)
        for waiter in item.waiters:
            self._end(waiter, verdict)

    def _reject(self, item: _Item, code: TierCode) -> None:
        self._items.pop(item.key, None)
        for waiter in item.waiters:
            self._end(waiter, TierUnavailable(_NAME, code))

    def _end(self, waiter: _Waiter, outcome: Verdict | TierUnavailable) -> None:
        if self._waiters.get((waiter.text, waiter.labels)) is waiter:
            del self._waiters[waiter.text, waiter.labels]
            self._telemetry.llm_queued(len(self._waiters))
        if waiter.future.done():
            return
        if isinstance(outcome, Verdict):
            waiter.future.set_result(outcome)
        else:
            waiter.future.set_exception(outcome)


async def _always(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do it again and again; what nobody has thought of must not end it."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("the LLM tier failed for no known reason")
            await asyncio.sleep(_RECOVERY_SECS)


def _has_words(text: str) -> bool:
    """Whether there is anything to read beside placeholders and digits."""
    return any(char.isalpha() for char in _PLACEHOLDER.sub("", text))
