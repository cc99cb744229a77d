"""Loading and reloading of rules, model and LLM prompt: checked first, swapped whole, refused without harm."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import msgspec

from waybill.core.errors import BundleError, ConfigError, RuleSetError
from waybill.core.labels import Taxonomy
from waybill.labelling.llm.prompt import Prompt, hash_file, load_prompt
from waybill.labelling.llm.tier import LlmTier
from waybill.labelling.model.batcher import Batcher
from waybill.labelling.model.bundle import Bundle, fingerprint, load_bundle
from waybill.labelling.model.tier import ModelTier
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.rules.files import content_hash
from waybill.labelling.rules.loading import load_ruleset
from waybill.labelling.rules.ruleset import RuleSet
from waybill.ops.health import LoadState
from waybill.ops.metrics import Metrics
from waybill.ops.watch import FolderWatch
from waybill.settings.deadlines import deadlines_of
from waybill.settings.resources import hidden_copy, resolve_path
from waybill.settings.schema import Settings
from waybill.settings.taxonomy import read_labels

log = logging.getLogger(__name__)


def rule_folders(settings: Settings) -> list[Path]:
    """The folders that rules are read from, in order."""
    return [resolve_path(path)[0] for path in (settings.rules.path, *settings.rules.extra_paths)]


def bundle_folders(settings: Settings) -> list[Path]:
    """The folders of a model bundle, first choice first: a version that was pulled, then ``model.path``.

    The pulled one is named by its own folder, not by the link: a pull must not exchange it half read.
    """
    folders = [resolve_path(settings.model.path)[0]] if settings.model.path is not None else []
    current = Path(settings.model.follow.into) / "current"
    if settings.model.follow.source is not None and current.exists():
        folders.insert(0, current.resolve())
    return folders


def prompt_file(settings: Settings) -> Path:
    """The file that the LLM's prompt is read from."""
    return resolve_path(settings.llm.prompt)[0]


class Parts(msgspec.Struct, frozen=True):
    """All that labels records, loaded and checked. No part belongs to an event loop or has threads of its own."""

    taxonomy: Taxonomy
    rules: RuleSet
    bundle: Bundle | None
    prompt: Prompt | None


async def read_parts(settings: Settings) -> Parts:
    """Labels, rules, model and prompt. Raises ConfigError with every fault of all three together."""
    taxonomy = await asyncio.to_thread(read_labels, settings.labels.path)
    rules, bundle, prompt = await asyncio.gather(
        read_rules(settings, taxonomy),
        read_bundle(settings, taxonomy),
        read_prompt(settings, taxonomy),
        return_exceptions=True,
    )
    problems: list[str] = []
    for outcome in (rules, bundle, prompt):
        if isinstance(outcome, RuleSetError):
            problems += [str(error) for error in outcome.errors]
        elif isinstance(outcome, BundleError):
            problems.append(f"model.path: {outcome}")
        elif isinstance(outcome, ConfigError):
            problems += [f"llm.prompt: {problem}" for problem in outcome.problems]
        elif isinstance(outcome, BaseException):
            raise outcome
    if (
        problems
        or isinstance(rules, BaseException)
        or isinstance(bundle, BaseException)
        or isinstance(prompt, BaseException)
    ):
        raise ConfigError(problems)
    return Parts(taxonomy, rules, bundle, prompt)


async def read_prompt(settings: Settings, taxonomy: Taxonomy) -> Prompt | None:
    """Load and check the LLM's prompt on a thread; None when there is no provider. Raises ConfigError."""
    if settings.llm.provider is None:
        return None
    return await asyncio.to_thread(_load_prompt, settings, taxonomy)


async def read_rules(settings: Settings, taxonomy: Taxonomy) -> RuleSet:
    """Parse, compile and check the configured rules in a child process. Raises RuleSetError."""
    return await load_ruleset(
        rule_folders(settings),
        labels=taxonomy.names,
        cpu_secs=settings.rules.compile_secs,
        memory_bytes=settings.rules.compile_bytes,
        max_message_bytes=settings.limits.message_bytes,
    )


async def read_bundle(settings: Settings, taxonomy: Taxonomy) -> Bundle | None:
    """Load and verify the bundle to start with on a thread; None when there is to be none.

    A pulled version that is refused leaves its place to ``model.path``, and an encoder that is a service
    may be out of reach: neither keeps records from coming through. Raises BundleError.
    """
    folders = bundle_folders(settings)
    for i, folder in enumerate(folders, 1):
        try:
            return await asyncio.to_thread(
                load_bundle, folder, taxonomy=taxonomy, needs_encoder=False
            )
        except BundleError as error:
            if i == len(folders):
                raise
            log.error(
                "a pulled model was refused", extra={"reason": error.code, "detail": error.detail}
            )
    return None


def _load_prompt(settings: Settings, taxonomy: Taxonomy) -> Prompt:
    asked = []
    for route in settings.routes:
        if "llm" in route.tiers:
            labels = route.labels or taxonomy.names
            asked.append([label for label in labels if label != taxonomy.fallback])
    return load_prompt(prompt_file(settings), taxonomy, asked)


class Reloader:
    """Keeps a pipeline's rules, model and LLM prompt in step with their files."""

    def __init__(
        self,
        settings: Settings,
        pipeline: Pipeline,
        model: Batcher | None,
        metrics: Metrics,
        llm: LlmTier | None = None,
    ) -> None:
        self._settings, self._pipeline, self._model, self._llm = settings, pipeline, model, llm
        self._metrics = metrics
        self.rules = LoadState("rules", metrics)
        self.model = LoadState("model", metrics)
        self.prompt = LoadState("prompt", metrics)
        self._lock = asyncio.Lock()
        #: Raised when a bundle must be tried again though its files stay: its encoder was out of reach.
        self._tries = 0
        self._watches: list[FolderWatch] = []

    async def start(self) -> None:
        """Note what is in force, catch up with what changed since it was loaded, and begin to watch."""
        settings = self._settings
        folders = rule_folders(settings)
        if (hidden := hidden_copy(settings.rules.path)) is not None:
            log.warning("a folder of the working directory stands in for the rules that come with Waybill",
                        extra={"used": str(folders[0].resolve()), "unused": str(hidden)})  # fmt: skip
        self._accept_rules(self._pipeline.rules)
        watch = FolderWatch(
            folders, lambda: content_hash(folders), self.reload_rules, settings.rules.poll_secs
        )
        await watch.start(self._pipeline.rules.content_hash)
        self._watches.append(watch)
        if self._model is not None and self._model.bundle.folder is not None:
            self.model.accepted(self._model.version)
            folder = self._model.bundle.folder
            watch = FolderWatch(
                [folder], self._bundle_mark, self.reload_model, settings.model.poll_secs
            )
            await watch.start(f"{self._model.bundle.mark}{self._tries}")
            self._watches.append(watch)
        if self._llm is not None:
            self.prompt.accepted(self._llm.version)
            file = prompt_file(settings)
            watch = FolderWatch(
                [file.parent], lambda: hash_file(file), self.reload_prompt, settings.llm.poll_secs
            )
            await watch.start(self._llm.prompt.file_hash)
            self._watches.append(watch)

    def _bundle_mark(self) -> str:
        """Changes with the bundle that should be in force: following moves the folder."""
        return f"{fingerprint(bundle_folders(self._settings)[0])}{self._tries}"

    async def stop(self) -> None:
        """Stop watching."""
        await asyncio.gather(*(watch.stop() for watch in self._watches))

    async def reload(self) -> bool:
        """Load rules, model and prompt again now; whether all are in force."""
        await self.reload_rules()
        await self.reload_model()
        await self.reload_prompt()
        return not (self.rules.problems or self.model.problems or self.prompt.problems)

    async def reload_rules(self) -> None:
        """Load the rules; on any fault the old ones stay in force."""
        async with self._lock:
            try:
                rules = await read_rules(self._settings, self._pipeline.taxonomy)
            except RuleSetError as error:
                self.rules.refused([str(one) for one in error.errors])
                for one in error.errors[:10]:
                    log.error(
                        "a rule set was refused; the old one stays in force",
                        extra={"file": one.file, "line": one.line, "rule": one.rule_id, "reason": one.code,
                               "detail": one.detail, "faults": len(error.errors)},
                    )  # fmt: skip
                return
            if rules.version != self._pipeline.rules.version:
                self._pipeline.swap_rules(rules)
            self._accept_rules(rules)

    def _accept_rules(self, rules: RuleSet) -> None:
        self.rules.accepted(rules.version)
        self._metrics.rules_loaded.set(len(rules.rules))
        log.info("rules are in force", extra={"version": rules.version, "rules": len(rules.rules)})

    async def reload_model(self) -> None:
        """Load the bundle; on any fault the old one stays in force."""
        if self._model is None:
            return
        async with self._lock:
            folder = bundle_folders(self._settings)[0]
            try:
                bundle = await asyncio.to_thread(
                    load_bundle, folder, taxonomy=self._pipeline.taxonomy
                )
            except BundleError as error:
                self._tries += error.code == "unavailable"
                self.model.refused([str(error)])
                log.error(
                    "a model bundle was refused",
                    extra={"reason": error.code, "detail": error.detail},
                )
                return
            if bundle.manifest != self._model.bundle.manifest:
                self._model.swap(bundle)
                self._pipeline.swap_tier(
                    ModelTier(self._model, self._settings.model, deadlines_of(self._settings))
                )
            self.model.accepted(bundle.version)
            log.info("a model is in force", extra={"version": bundle.version})

    async def reload_prompt(self) -> None:
        """Load the LLM's prompt; on any fault the old one stays in force."""
        if self._llm is None:
            return
        async with self._lock:
            try:
                prompt = await read_prompt(self._settings, self._pipeline.taxonomy)
                assert prompt is not None
            except ConfigError as error:
                self.prompt.refused(error.problems)
                log.error(
                    "an LLM prompt was refused; the old one stays", extra={"detail": str(error)}
                )
                return
            if prompt.version != self._llm.prompt.version:
                self._llm.swap_prompt(prompt)
                self._pipeline.swap_tier(self._llm)
            self.prompt.accepted(self._llm.version)
            log.info("an LLM prompt is in force", extra={"version": self._llm.version})

    def describe_llm(self) -> dict[str, object] | None:
        """The LLM tier as plain data for `/readyz`; None without one."""
        if self._llm is None:
            return None
        return self.prompt.describe() | {"breaker": self._llm.breaker_state}
