"""The parts of a service that follow their files; here the model bundle and the LLM prompt."""

from __future__ import annotations

import asyncio
import logging

from waybill.core.errors import BundleError
from waybill.labelling.llm.prompt import Prompt, hash_file
from waybill.labelling.llm.tier import LlmTier
from waybill.labelling.model.batcher import Batcher
from waybill.labelling.model.bundle import Bundle, fingerprint, load_bundle
from waybill.labelling.model.encoders.opening import Encoders
from waybill.labelling.model.tier import ModelTier
from waybill.ops.health import LoadState
from waybill.ops.metrics import Metrics
from waybill.service.corrections import CorrectionsPart, has_corrections
from waybill.service.guard import CorrectionGuard
from waybill.service.loading import bundle_folders, prompt_file, read_prompt
from waybill.service.opening import Labelling, Opened
from waybill.service.reload import Part, Reloadable, part_name
from waybill.service.rules import RulesPart
from waybill.service.shadow import ShadowPart
from waybill.settings.deadlines import deadlines_of

log = logging.getLogger(__name__)


def reloadable_parts(opened: Opened, metrics: Metrics) -> dict[str, Part | None]:
    """Rules, model, LLM prompt and corrections of each labelling, by their names in the report.

    Those of a further labelling have its name in front: ``severity.rules``.
    """
    lock = asyncio.Lock()
    names = ("rules", "model", "shadow", "llm", "corrections")
    parts: dict[str, Part | None] = dict.fromkeys(names)
    for labelling in opened.labellings:
        for name, part in _parts_of(labelling, metrics, lock, opened.encoders).items():
            parts[part_name(labelling.name, name)] = part
    return parts


def _parts_of(
    labelling: Labelling, metrics: Metrics, lock: asyncio.Lock, encoders: Encoders
) -> dict[str, Part]:
    """The parts that a labelling has, by name."""
    guard = CorrectionGuard(labelling, metrics)
    parts: dict[str, Part] = {"rules": RulesPart(labelling, metrics, lock, guard)}
    model = labelling.model
    if model is not None:
        parts["model"] = ModelPart(labelling, model, metrics, lock, guard, encoders)
        if labelling.settings.model.shadow.path is not None:
            parts["shadow"] = ShadowPart(labelling, model, metrics, lock)
    if labelling.llm is not None:
        parts["llm"] = PromptPart(labelling, labelling.llm, metrics, lock)
    if has_corrections(labelling.settings):
        # A lock of its own: it takes no processor time worth waiting for, and people do wait.
        parts["corrections"] = CorrectionsPart(labelling, metrics, asyncio.Lock(), guard)
    return parts


class ModelPart(Reloadable[Bundle]):
    """The model bundle of ``model.path``, or the version that was pulled last."""

    def __init__(
        self,
        labelling: Labelling,
        model: Batcher,
        metrics: Metrics,
        lock: asyncio.Lock,
        guard: CorrectionGuard,
        encoders: Encoders,
    ) -> None:
        """``encoders`` are those that may be shared."""
        self._settings = labelling.settings
        self._pipeline = labelling.pipeline
        self._model = model
        self._guard = guard
        self._encoders = encoders
        #: Raised when a bundle must be tried again though its files stay: its encoder was away.
        self._tries = 0
        state = LoadState(part_name(labelling.name, "model"), metrics)
        super().__init__(state, lock, model.bundle)
        folder = model.bundle.folder
        assert folder is not None, "a served bundle comes from a folder"
        seen = self._with_tries(model.bundle.mark)
        self.follow([folder], self._look, self._settings.model.poll_secs, seen)

    async def _read(self) -> Bundle:
        """Load and verify it, and hold it against the corrections. Raises BundleError."""
        folder = bundle_folders(self._settings)[0]
        taxonomy = self._pipeline.taxonomy
        try:
            bundle = await asyncio.to_thread(
                load_bundle, folder, taxonomy=taxonomy, encoders=self._encoders
            )
        except BundleError as error:
            if error.code == "unavailable":
                self._tries += 1
            raise
        return await self._guard.check_model(bundle)

    def _look(self) -> str:
        """The fingerprint of the files there are now: following a source moves their folder.

        Raises OSError while they are exchanged.
        """
        return self._with_tries(fingerprint(bundle_folders(self._settings)[0]))

    def _with_tries(self, mark: str) -> str:
        return f"{mark}{self._tries}"

    def _mark(self, found: Bundle) -> object:
        return found.manifest

    def _put_in_force(self, found: Bundle) -> None:
        self._model.swap(found)
        deadlines = deadlines_of(self._settings)
        self._pipeline.swap_tier(ModelTier(self._model, self._settings.model, deadlines))

    def _log_in_force(self) -> str:
        log.info("a model is in force", extra={"version": self._model.version})
        return self._model.version


class PromptPart(Reloadable[Prompt]):
    """The prompt of the LLM tier, and the tier's breaker beside it."""

    def __init__(
        self, labelling: Labelling, llm: LlmTier, metrics: Metrics, lock: asyncio.Lock
    ) -> None:
        self._llm = llm
        self._pipeline = labelling.pipeline
        self._settings = labelling.settings
        super().__init__(LoadState("prompt", metrics), lock, llm.prompt)
        file = prompt_file(self._settings)
        poll_secs = self._settings.llm.poll_secs
        self.follow([file.parent], lambda: hash_file(file), poll_secs, llm.prompt.file_hash)

    async def _read(self) -> Prompt:
        prompt = await read_prompt(self._settings, self._pipeline.taxonomy)
        assert prompt is not None, "there is a prompt where there is a tier"
        return prompt

    def _mark(self, found: Prompt) -> object:
        return found.version

    def _put_in_force(self, found: Prompt) -> None:
        self._llm.swap_prompt(found)
        self._pipeline.swap_tier(self._llm)

    def _log_in_force(self) -> str:
        log.info("an LLM prompt is in force", extra={"version": self._llm.version})
        return self._llm.version

    def describe(self) -> dict[str, object]:
        """The state as plain data, with the circuit breaker's."""
        return {**super().describe(), "breaker": self._llm.breaker_state}
