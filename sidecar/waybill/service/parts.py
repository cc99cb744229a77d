"""The parts of a service that follow their files: rules, model bundle, LLM prompt."""

from __future__ import annotations

import asyncio
import functools
import logging

from waybill.core.errors import BundleError
from waybill.core.labels import Taxonomy
from waybill.labelling.llm.prompt import Prompt, hash_file
from waybill.labelling.llm.tier import LlmTier
from waybill.labelling.model.batcher import Batcher
from waybill.labelling.model.bundle import Bundle, fingerprint, load_bundle
from waybill.labelling.model.encoders.opening import Encoders
from waybill.labelling.model.tier import ModelTier
from waybill.labelling.pipeline import Pipeline
from waybill.ops.health import LoadState
from waybill.ops.metrics import Metrics
from waybill.service.corrections import CorrectionsPart, has_corrections
from waybill.service.guard import Guard
from waybill.service.loading import bundle_folders, prompt_file, read_prompt
from waybill.service.opening import Labelling, Opened
from waybill.service.reload import Part, Reloadable
from waybill.service.rules import RulesPart
from waybill.service.shadow import ShadowPart
from waybill.settings.deadlines import deadlines_of
from waybill.settings.schema import Settings

log = logging.getLogger(__name__)


def reloadable_parts(opened: Opened, metrics: Metrics) -> dict[str, Part | None]:
    """Rules, model, LLM prompt and corrections of each labelling, by their names in the report.

    Those of a further labelling have its name in front: ``severity.rules``.
    """
    lock = asyncio.Lock()
    names = ("rules", "model", "shadow", "llm", "corrections")
    parts: dict[str, Part | None] = dict.fromkeys(names)
    for labelling in opened.labellings:
        prefix = f"{labelling.name}." if labelling.name else ""
        settings = labelling.settings
        pipeline = labelling.pipeline
        guard = Guard(settings, pipeline, metrics, labelling.name)
        parts[f"{prefix}rules"] = RulesPart(
            settings, pipeline, metrics, lock, guard, labelling.name
        )
        if labelling.model is not None:
            parts[f"{prefix}model"] = model_part(
                settings, pipeline, labelling.model, metrics, lock, guard, prefix, opened.encoders
            )
        if labelling.model is not None and settings.model.shadow.path is not None:
            parts["shadow"] = ShadowPart(
                settings.model, pipeline.taxonomy, labelling.model, metrics, lock
            )
        if labelling.llm is not None:
            parts["llm"] = PromptPart(settings, pipeline, labelling.llm, metrics, lock)
        if has_corrections(settings):
            # A lock of its own: it takes no processor time worth waiting for, and people do wait.
            parts[f"{prefix}corrections"] = CorrectionsPart(
                settings,
                pipeline,
                metrics,
                asyncio.Lock(),
                guard,
                functools.partial(_bundle_of, labelling),
                labelling.name,
            )
    return parts


def _bundle_of(labelling: Labelling) -> Bundle | None:
    return labelling.model.bundle if labelling.model is not None else None


class _BundleFiles:
    """The bundle that should be in force: following a source moves its folder."""

    def __init__(
        self, settings: Settings, taxonomy: Taxonomy, encoders: Encoders | None = None
    ) -> None:
        self._settings = settings
        self._taxonomy = taxonomy
        self._encoders = encoders
        #: Raised when a bundle must be tried again though its files stay: its encoder was away.
        self._tries = 0

    async def load(self) -> Bundle:
        """Load and verify it on a thread. Raises BundleError."""
        folder = bundle_folders(self._settings)[0]
        try:
            return await asyncio.to_thread(
                load_bundle, folder, taxonomy=self._taxonomy, encoders=self._encoders
            )
        except BundleError as error:
            if error.code == "unavailable":
                self._tries += 1
            raise

    def fingerprint(self) -> str:
        """Changes when it is to be loaded again. Raises OSError while it is exchanged."""
        return self.seen(fingerprint(bundle_folders(self._settings)[0]))

    def seen(self, mark: str) -> str:
        """The `fingerprint` of files whose own is ``mark``."""
        return f"{mark}{self._tries}"


def model_part(
    settings: Settings,
    pipeline: Pipeline,
    model: Batcher,
    metrics: Metrics,
    lock: asyncio.Lock,
    guard: Guard,
    prefix: str = "",
    encoders: Encoders | None = None,
) -> Reloadable[Bundle]:
    """The model bundle of ``model.path``, or the version that was pulled last.

    ``prefix`` is the labelling's name and a dot; ``encoders`` are those that may be shared.
    """
    files = _BundleFiles(settings, pipeline.taxonomy, encoders)
    deadlines = deadlines_of(settings)

    async def load() -> Bundle:
        return await guard.check_model(await files.load())

    def apply(bundle: Bundle) -> None:
        model.swap(bundle)
        pipeline.swap_tier(ModelTier(model, settings.model, deadlines))

    def announce() -> str:
        log.info("a model is in force", extra={"version": model.version})
        return model.version

    part = Reloadable[Bundle](
        LoadState(f"{prefix}model", metrics),
        lock,
        load=load,
        mark=lambda bundle: bundle.manifest,
        apply=apply,
        announce=announce,
        in_force=model.bundle.manifest,
    )
    folder = model.bundle.folder
    assert folder is not None, "a served bundle comes from a folder"
    seen = files.seen(model.bundle.mark)
    part.follow([folder], files.fingerprint, settings.model.poll_secs, seen)
    return part


class PromptPart(Reloadable[Prompt]):
    """The prompt of the LLM tier, and the tier's breaker beside it."""

    def __init__(
        self,
        settings: Settings,
        pipeline: Pipeline,
        llm: LlmTier,
        metrics: Metrics,
        lock: asyncio.Lock,
    ) -> None:
        self._llm = llm
        self._pipeline = pipeline
        self._settings = settings
        super().__init__(
            LoadState("prompt", metrics),
            lock,
            load=self._read,
            mark=lambda prompt: prompt.version,
            apply=self._put_in_force,
            announce=self._say,
            in_force=llm.prompt.version,
        )
        file = prompt_file(settings)
        poll_secs = settings.llm.poll_secs
        self.follow([file.parent], lambda: hash_file(file), poll_secs, llm.prompt.file_hash)

    async def _read(self) -> Prompt:
        prompt = await read_prompt(self._settings, self._pipeline.taxonomy)
        assert prompt is not None, "there is a prompt where there is a tier"
        return prompt

    def _put_in_force(self, prompt: Prompt) -> None:
        self._llm.swap_prompt(prompt)
        self._pipeline.swap_tier(self._llm)

    def _say(self) -> str:
        log.info("an LLM prompt is in force", extra={"version": self._llm.version})
        return self._llm.version

    def describe(self) -> dict[str, object]:
        """The state as plain data, with the circuit breaker's."""
        return {**super().describe(), "breaker": self._llm.breaker_state}
