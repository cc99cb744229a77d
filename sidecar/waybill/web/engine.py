"""The workbench's own pipeline: to try lines, to explain, to mask; opened when it is first asked.

It has the rules and the model of its settings, which are those of the sidecars where both are given
the same files. It never asks the LLM: trying a line must not cost or send anything.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from msgspec.structs import replace

from waybill.core.errors import RuleSetError, WaybillError
from waybill.core.prepare import prepare_all
from waybill.core.records import Verdict
from waybill.core.version import VERSION
from waybill.labelling.corrections.files import parse_history
from waybill.labelling.corrections.table import read_table
from waybill.labelling.masking import mask
from waybill.ops.metrics import Metrics
from waybill.service.opening import Opened, open_pipeline
from waybill.settings.schema import Settings
from waybill.web.rulebook import Rulebook
from waybill.web.store.corrections import applied_version, export_applied
from waybill.web.store.database import Database
from waybill.wire.lines import behind_head
from waybill.wire.members import Places, members_in

#: What is kept of the embeddings that were made, and of verdicts.
_CACHE_BYTES = 1 << 20


class Engine:
    """Labels as a sidecar with these settings would."""

    def __init__(self, settings: Settings, rulebook: Rulebook, database: Database) -> None:
        """The rules are those of ``rulebook``, the corrections those of ``database``."""
        self._rulebook = rulebook
        self._database = database
        self._seen: tuple[str, str] = ("", "")
        self.settings = replace(settings, llm=replace(settings.llm, provider=None))
        #: As those, for labelling a little now and then: a cache would stay.
        kept = min(_CACHE_BYTES, settings.model.embedding_cache_bytes)
        model = replace(settings.model, embedding_cache_bytes=kept)
        memo = replace(settings.memo, bytes=min(_CACHE_BYTES, settings.memo.bytes))
        self.lean = replace(self.settings, model=model, memo=memo)
        self._places = Places(settings.fields)
        self._stack = contextlib.AsyncExitStack()
        self._lock = asyncio.Lock()
        self._opened: Opened | None = None
        #: Corrections that rules and model agree with, of how many; None: not measured yet.
        self.agreement: tuple[int, int] | None = None
        self._warming: asyncio.Task[None] | None = None

    async def opened(self) -> Opened:
        """The pipeline and its model, opened by the first who asks. Raises ConfigError."""
        async with self._lock:
            if self._opened is None:
                opening = open_pipeline(self.lean, Metrics(VERSION))
                self._opened = await self._stack.enter_async_context(opening)
            await self._catch_up(self._opened)
            return self._opened

    def warm(self) -> None:
        """Begin to open the pipeline, so that the first request need not wait for it."""
        if self._opened is None and self._warming is None:
            self._warming = asyncio.create_task(self._warm())

    async def mark(self) -> str:
        """What changes with the own rule files."""
        return await asyncio.to_thread(self._rulebook.edition)

    async def _warm(self) -> None:
        with contextlib.suppress(WaybillError):  # told to the request that needs it
            await self.opened()

    async def _catch_up(self, opened: Opened) -> None:
        """Have in force what was changed since; rules that do not compile are left out."""
        seen = (await self.mark(), await self._database.read(applied_version))
        if seen == self._seen:
            return
        pipeline = opened.pipeline
        with contextlib.suppress(RuleSetError):
            # Trials read the same rules on another thread.
            pipeline.swap_rules((await self._rulebook.in_force()).for_thread())
        lines = await self._database.read(export_applied)
        if lines:
            history = parse_history(lines, str(self._database.path))
            pipeline.swap_corrections(read_table(history, pipeline.taxonomy))
        self._seen = seen

    async def label(self, messages: Sequence[str], sources: Sequence[str]) -> list[Verdict]:
        """One verdict a message. Raises ConfigError: rules or model cannot be used."""
        pipeline = (await self.opened()).pipeline
        return await pipeline.label(messages, sources)

    def known_rules(self) -> tuple[str, ...]:
        """Ids of the rules, as far as the pipeline is open: who types does not wait for it."""
        if self._opened is None:
            self.warm()
            return ()
        return tuple(rule.id for rule in self._opened.pipeline.rules.rules)

    async def rule_patterns(self) -> dict[str, str]:
        """The pattern of each rule by its id. Raises ConfigError."""
        rules = (await self.opened()).pipeline.rules.rules
        return {rule.id: rule.pattern for rule in rules}

    @property
    def edition(self) -> str:
        """The versions of rules and model that label here, in words."""
        if self._opened is None:
            return "loaded with the first line"
        rules = self._opened.pipeline.rules.version
        model = self._opened.model.version if self._opened.model is not None else "none"
        return f"rules {rules}, model {model}"

    async def close(self) -> None:
        """Let go of the model."""
        if self._warming is not None:
            self._warming.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._warming
        await self._stack.aclose()

    def read(self, line: str) -> tuple[str, str]:
        """Source, as far as it is told, and message of a line that may be a record as JSON, or have
        the head of a container runtime.
        """
        line = behind_head(line)
        members = members_in(line)
        message = None if members is None else self._places.message_of(members)
        if members is None or message is None:
            return "", line
        return self._places.source_of(members), message

    def mask_of(self, message: str) -> str:
        """The mask of a message: what corrections and patterns are kept by."""
        (prepared,) = prepare_all([message], self.settings.limits.message_bytes)
        return mask(prepared)
