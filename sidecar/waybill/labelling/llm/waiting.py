"""Texts under way in the LLM tier: as the pipeline gave them, and as they are asked."""

from __future__ import annotations

import asyncio

from waybill.core.records import Verdict
from waybill.labelling.llm.prompt import Prompt
from waybill.labelling.llm.store import Judgement, judgement_key
from waybill.labelling.tier import Answer


class Waiter:
    """A masked text as the pipeline gave it, and its future."""

    __slots__ = ("future", "is_refused", "labels", "sources", "text")

    def __init__(self, text: str, labels: tuple[str, ...], sources: tuple[str, ...]) -> None:
        self.text = text
        self.labels = labels
        self.sources = sources
        #: Whether it was turned away at once, because the tier is full or closed.
        self.is_refused = False
        self.future: Answer = asyncio.get_running_loop().create_future()

    def end(self, outcome: Verdict | BaseException) -> None:
        """Settle the future, unless its caller has gone."""
        if self.future.done():
            return
        if isinstance(outcome, BaseException):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class Item:
    """A cleaned text with what it is to be judged by, and everyone who waits for it."""

    __slots__ = ("key", "labels", "prompt", "sources", "text", "version", "waiters")

    def __init__(self, text: str, waiter: Waiter, prompt: Prompt, version: str) -> None:
        self.text = text
        self.labels = waiter.labels
        self.sources = waiter.sources
        self.prompt = prompt
        self.version = version
        self.key = judgement_key(text, self.labels, version)
        self.waiters = [waiter]

    def judgement(self, label: str, judged_at: float) -> Judgement:
        """What a store keeps of its answer; ``judged_at`` is in seconds since the epoch."""
        return Judgement(
            self.key, self.text, label, self.labels, self.sources, self.version, judged_at
        )
