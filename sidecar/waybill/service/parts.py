"""The parts of a service that follow their files: rules, model bundle, LLM prompt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from waybill.core.errors import BundleError
from waybill.core.labels import Taxonomy
from waybill.labelling.llm.prompt import Prompt, hash_file
from waybill.labelling.llm.tier import LlmTier
from waybill.labelling.model.batcher import Batcher
from waybill.labelling.model.bundle import Bundle, fingerprint, load_bundle
from waybill.labelling.model.tier import ModelTier
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.rules.artefact import Advice
from waybill.labelling.rules.files import content_hash
from waybill.labelling.rules.ruleset import RuleSet
from waybill.labelling.rules.unread import unread_files
from waybill.ops.health import LoadState
from waybill.ops.metrics import Metrics
from waybill.service.corrections import CorrectionsPart, has_corrections
from waybill.service.guard import Guard
from waybill.service.loading import (
    bundle_folders,
    prompt_file,
    read_prompt,
    read_rules,
    rule_folders,
)
from waybill.service.opening import Opened
from waybill.service.reload import Part, Reloadable
from waybill.service.shadow import ShadowPart
from waybill.settings.deadlines import deadlines_of
from waybill.settings.schema import Settings

log = logging.getLogger(__name__)
#: Warnings about one set of rules that `/readyz` and the log tell.
_TOLD_WARNINGS = 100
_LOGGED_WARNINGS = 10


def reloadable_parts(
    settings: Settings, opened: Opened, metrics: Metrics
) -> dict[str, Part | None]:
    """Corrections, rules, model and LLM prompt of a pipeline, by their names in the report."""
    lock = asyncio.Lock()
    guard = Guard(settings, opened.pipeline, metrics)
    parts: dict[str, Part | None] = {
        "rules": RulesPart(settings, opened.pipeline, metrics, lock, guard),
        "model": None,
        "shadow": None,
        "llm": None,
        "corrections": None,
    }
    if has_corrections(settings):
        # A lock of its own: it takes no processor time worth waiting for, and people do wait.
        own_lock = asyncio.Lock()
        parts["corrections"] = CorrectionsPart(
            settings, opened.pipeline, metrics, own_lock, guard, lambda: _bundle_of(opened)
        )
    if opened.model is not None:
        parts["model"] = model_part(settings, opened.pipeline, opened.model, metrics, lock, guard)
    if opened.model is not None and settings.model.shadow.path is not None:
        taxonomy = opened.pipeline.taxonomy
        parts["shadow"] = ShadowPart(settings.model, taxonomy, opened.model, metrics, lock)
    if opened.llm is not None:
        parts["llm"] = PromptPart(settings, opened.pipeline, opened.llm, metrics, lock)
    return parts


def _bundle_of(opened: Opened) -> Bundle | None:
    return opened.model.bundle if opened.model is not None else None


class RulesPart(Reloadable[RuleSet]):
    """The rules of ``rules.path`` and ``rules.extra_paths``."""

    def __init__(
        self,
        settings: Settings,
        pipeline: Pipeline,
        metrics: Metrics,
        lock: asyncio.Lock,
        guard: Guard,
    ) -> None:
        self._pipeline = pipeline
        self._metrics = metrics

        async def load() -> RuleSet:
            return await guard.check_rules(await read_rules(settings, pipeline.taxonomy))

        folders = rule_folders(settings)
        super().__init__(
            LoadState("rules", metrics),
            lock,
            load=load,
            mark=_mark,
            apply=pipeline.swap_rules,
            announce=self._say,
            in_force=_mark(pipeline.rules),
        )
        seen = _fingerprint(pipeline.rules.content_hash, pipeline.rules.advice)

        def look() -> str:
            return _look(folders, settings.rules.disable)

        self.follow(folders, look, settings.rules.poll_secs, seen)

    def _say(self) -> str:
        rules = self._pipeline.rules
        self._metrics.rules_loaded.set(len(rules.rules))
        fields = {"version": rules.version, "rules": len(rules.rules)}
        log.info("rules are in force", extra=fields)
        _log_advice(rules)
        return rules.version

    def describe(self) -> dict[str, object]:
        """The state as plain data, with what is doubtful about the rules.

        ``slow``: the rules that were slow within the last hour.
        """
        rules = self._pipeline.rules
        warnings = [str(advice) for advice in rules.advice[:_TOLD_WARNINGS]]
        slow = rules.slow_rules()
        return {
            **super().describe(),
            "warnings": warnings,
            "warning_count": len(rules.advice),
            "slow": slow,
        }


def _mark(rules: RuleSet) -> object:
    """What tells one load from another: the rules, and what is doubtful about them."""
    return rules.version, rules.advice


def _look(folders: Sequence[Path], disable: Sequence[str]) -> str:
    """The fingerprint of what is in the folders now. Raises OSError while it is exchanged."""
    return _fingerprint(content_hash(folders, disable), unread_files(folders))


def _fingerprint(mark: str, advice: Iterable[Advice]) -> str:
    """Changes with the rules, and with the files that look like rules and are not read."""
    unread = [f"{one.file}: {one.detail}" for one in advice if one.code == "not_read"]
    return "\n".join([mark, *unread])


def _log_advice(rules: RuleSet) -> None:
    """Log each doubt by itself: the log's rate limit knows them apart."""
    for advice in rules.advice[:_LOGGED_WARNINGS]:
        fields = {
            "file": advice.file,
            "line": advice.line,
            "rule": advice.rule_id,
            "reason": advice.code,
            "detail": advice.detail,
            "warnings": len(rules.advice),
        }
        log.warning("something about the rules is doubtful", extra=fields)


class _BundleFiles:
    """The bundle that should be in force: following a source moves its folder."""

    def __init__(self, settings: Settings, taxonomy: Taxonomy) -> None:
        self._settings = settings
        self._taxonomy = taxonomy
        #: Raised when a bundle must be tried again though its files stay: its encoder was away.
        self._tries = 0

    async def load(self) -> Bundle:
        """Load and verify it on a thread. Raises BundleError."""
        folder = bundle_folders(self._settings)[0]
        try:
            return await asyncio.to_thread(load_bundle, folder, taxonomy=self._taxonomy)
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
) -> Reloadable[Bundle]:
    """The model bundle of ``model.path``, or the version that was pulled last."""
    files = _BundleFiles(settings, pipeline.taxonomy)
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
        LoadState("model", metrics),
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
