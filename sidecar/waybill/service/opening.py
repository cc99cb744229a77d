"""From settings to a pipeline that labels, with a service around it or without."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import NamedTuple

import msgspec

from waybill.core.deadlines import Deadlines
from waybill.core.names import TierName
from waybill.core.reasons import TierCode
from waybill.labelling.llm.build import open_llm
from waybill.labelling.llm.tier import LlmTier
from waybill.labelling.masking import mask
from waybill.labelling.model.batcher import Batcher
from waybill.labelling.model.embeddings import Embeddings
from waybill.labelling.model.encoders.opening import Encoders
from waybill.labelling.model.tier import ModelTier
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.several import BatchLabeller, Several
from waybill.labelling.shared_masks import SharedMasks
from waybill.labelling.telemetry import Silent, Telemetry
from waybill.labelling.texts import ReadTexts, SharedTexts, read_texts
from waybill.labelling.tier import Tier
from waybill.ops.metrics import Metrics
from waybill.ops.secret_file import LateSecret
from waybill.service.loading import Parts, read_parts
from waybill.settings.deadlines import deadlines_of
from waybill.settings.labellings import each_labelling, labelling_names
from waybill.settings.schema import LlmSettings, MemoSettings, Settings

#: The part of the memo's size that several labellings share for masks.
_MASKS_SHARE = 8


class Labelling(NamedTuple):
    """One labelling: its own settings, its pipeline, and those of its tiers that hold something
    that can be exchanged; None without one. The first one's name is ``""``.
    """

    name: str
    settings: Settings
    pipeline: Pipeline
    model: Batcher | None
    llm: LlmTier | None


class Opened(NamedTuple):
    """What labels records: the labellings, and all of them as one ``labeller``."""

    labeller: BatchLabeller
    labellings: tuple[Labelling, ...]
    encoders: Encoders

    @property
    def pipeline(self) -> Pipeline:
        """The first labelling's."""
        return self.labellings[0].pipeline

    @property
    def model(self) -> Batcher | None:
        """The first labelling's."""
        return self.labellings[0].model


@contextlib.asynccontextmanager
async def open_pipeline(
    settings: Settings,
    metrics: Metrics,
    parts: Parts | None = None,
    workers: int = 1,
    *,
    patience_secs: float | None = None,
) -> AsyncIterator[Opened]:
    """Rules, model and LLM prompt of every labelling, loaded unless given as ``parts``, ready to
    label; closed at the end.

    ``workers`` is the number of processes that share the LLM's budgets. A batch waits
    ``patience_secs`` for the model, and for the LLM, where no shipper waits for the batch; without
    it, what the settings leave.

    Raises:
        ConfigError: with every fault of rules, model, prompt and corrections together.
    """
    async with contextlib.AsyncExitStack() as stack:
        # Built elsewhere: this frame lives as long as the service, and what it names would outlive
        # its reload.
        yield await _build(
            _Opener(stack, settings, metrics, workers, patience_secs), settings, parts
        )


async def _build(opener: _Opener, settings: Settings, parts: Parts | None) -> Opened:
    if parts is None:
        parts = await read_parts(settings)
    labellings: list[Labelling] = []
    for (name, own), of_labelling in zip(_named(settings), (parts, *parts.further), strict=True):
        labellings.append(await opener.open(name, own, of_labelling))
    labeller: BatchLabeller = labellings[0].pipeline
    if len(labellings) > 1:
        names = [one.name for one in labellings[1:]]
        labeller = Several([one.pipeline for one in labellings], names)
    return Opened(labeller, tuple(labellings), parts.encoders)


def _named(settings: Settings) -> Iterator[tuple[str, Settings]]:
    """The name and the settings of each labelling."""
    return zip(labelling_names(settings), each_labelling(settings), strict=True)


class _OfFurther(Silent):
    """What a further labelling has to tell: which of its tiers failed.

    The rest would be counted twice: its texts are those of the first one.
    """

    def __init__(self, name: str, metrics: Metrics) -> None:
        self._name = name
        self._metrics = metrics

    def tier_failed(self, tier: TierName, reason: TierCode) -> None:
        """Count it by the labelling's name."""
        self._metrics.further.tier_failed(self._name, tier, reason)


class _Opener:
    """Opens one labelling after another; what they share is here."""

    def __init__(
        self,
        stack: contextlib.AsyncExitStack,
        settings: Settings,
        metrics: Metrics,
        workers: int,
        patience_secs: float | None,
    ) -> None:
        self._stack = stack
        self._metrics = metrics
        self._workers = workers
        self._patience_secs = patience_secs
        self._embeddings = Embeddings(settings.model.embedding_cache_bytes)
        self._mask: Callable[[str], str] = mask
        self._read: ReadTexts = read_texts
        self._has_several = bool(settings.labellings)
        if self._has_several:
            self._mask = SharedMasks(settings.memo.bytes // _MASKS_SHARE)
            self._read = SharedTexts().read

    async def open(self, name: str, settings: Settings, parts: Parts) -> Labelling:
        """A labelling ready to label. Raises ConfigError."""
        telemetry: Telemetry = self._metrics
        if name:
            telemetry = _OfFurther(name, self._metrics)
        tiers: dict[str, Tier] = {}
        model = self._open_model(settings, parts, telemetry)
        if model is not None:
            tiers["model"] = ModelTier(model, settings.model, self._deadlines(settings))
        llm = None
        if parts.prompt is not None:
            key = LateSecret(settings.llm.api_key_file, "llm.api_key_file", settings.llm.api_key)
            llm = await self._stack.enter_async_context(
                open_llm(
                    self._of_llm(settings.llm), parts.prompt, key, self._metrics, self._workers
                )
            )
            tiers["llm"] = llm
        if self._has_several:
            memo = MemoSettings(settings.memo.bytes - settings.memo.bytes // _MASKS_SHARE)
            settings = msgspec.structs.replace(settings, memo=memo)
        pipeline = Pipeline(
            settings,
            parts.rules,
            tiers,
            telemetry,
            taxonomy=parts.taxonomy,
            masked=self._mask,
            read=self._read,
            corrections=parts.corrections,
        )
        return Labelling(name, settings, pipeline, model, llm)

    def _deadlines(self, settings: Settings) -> Deadlines:
        found = deadlines_of(settings)
        if self._patience_secs is not None:
            found = msgspec.structs.replace(found, model=self._patience_secs)
        return found

    def _of_llm(self, settings: LlmSettings) -> LlmSettings:
        if self._patience_secs is None:
            return settings
        return msgspec.structs.replace(settings, wait_ms=round(1000 * self._patience_secs))

    def _open_model(self, settings: Settings, parts: Parts, telemetry: Telemetry) -> Batcher | None:
        if parts.bundle is None:
            return None
        model = Batcher(
            parts.bundle,
            batch_size=settings.model.batch_size,
            threads=settings.model.threads,
            queue_messages=settings.model.queue_messages,
            embeddings=self._embeddings,
            telemetry=telemetry,
        )
        self._stack.push_async_callback(model.close)
        return model
