"""From settings to a pipeline that labels, with a service around it or without."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple

from waybill.labelling.llm.build import open_llm
from waybill.labelling.llm.tier import LlmTier
from waybill.labelling.model.batcher import Batcher
from waybill.labelling.model.tier import ModelTier
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.tier import Tier
from waybill.ops.metrics import Metrics
from waybill.ops.secret_file import LateSecret
from waybill.service.loading import Parts, read_parts
from waybill.settings.deadlines import deadlines_of
from waybill.settings.schema import Settings


class Opened(NamedTuple):
    """A pipeline and those of its tiers that hold something that can be exchanged; None without
    one.
    """

    pipeline: Pipeline
    model: Batcher | None
    llm: LlmTier | None


@contextlib.asynccontextmanager
async def open_pipeline(
    settings: Settings, metrics: Metrics, parts: Parts | None = None, workers: int = 1
) -> AsyncIterator[Opened]:
    """Rules, model and LLM prompt, loaded unless given as ``parts``, ready to label; closed at the
    end.

    ``workers`` is the number of processes that share the LLM's budgets.

    Raises:
        ConfigError: with every fault of rules, model, prompt and corrections together.
    """
    async with contextlib.AsyncExitStack() as stack:
        # Built elsewhere: this frame lives as long as the service, and what it names would outlive
        # its reload.
        yield await _build(stack, settings, metrics, parts, workers)


async def _build(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    metrics: Metrics,
    parts: Parts | None,
    workers: int,
) -> Opened:
    if parts is None:
        parts = await read_parts(settings)
    tiers: dict[str, Tier] = {}
    model = None
    llm = None
    if parts.bundle is not None:
        model = Batcher(
            parts.bundle,
            batch_size=settings.model.batch_size,
            threads=settings.model.threads,
            queue_messages=settings.model.queue_messages,
            embedding_cache_bytes=settings.model.embedding_cache_bytes,
            telemetry=metrics,
        )
        stack.push_async_callback(model.close)
        tiers["model"] = ModelTier(model, settings.model, deadlines_of(settings))
    if parts.prompt is not None:
        key = LateSecret(settings.llm.api_key_file, "llm.api_key_file", settings.llm.api_key)
        llm = await stack.enter_async_context(
            open_llm(settings.llm, parts.prompt, key, metrics, workers)
        )
        tiers["llm"] = llm
    pipeline = Pipeline(
        settings,
        parts.rules,
        tiers,
        metrics,
        taxonomy=parts.taxonomy,
        corrections=parts.corrections,
    )
    return Opened(pipeline, model, llm)
