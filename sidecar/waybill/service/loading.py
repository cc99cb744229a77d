"""Rules, model bundle and LLM prompt from their files, checked; nothing here is in force yet."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import msgspec

from waybill.core.errors import BundleError, ConfigError, CorrectionsError, WaybillError
from waybill.core.files import read_small
from waybill.core.labels import Taxonomy
from waybill.labelling.corrections.files import MAX_TOTAL_BYTES, parse_history
from waybill.labelling.corrections.source import CorrectionSource
from waybill.labelling.corrections.table import CorrectionTable
from waybill.labelling.llm.prompt import Prompt, load_prompt
from waybill.labelling.model.bundle import Bundle, load_bundle
from waybill.labelling.model.encoders.opening import Encoders
from waybill.labelling.rules.ruleset import RuleSet
from waybill.service.reading_rules import first_rules
from waybill.settings.addresses import is_address
from waybill.settings.labellings import each_labelling, labelling_names
from waybill.settings.resources import hidden_copy, looked_for, resolve_path
from waybill.settings.schema import Settings
from waybill.settings.taxonomy import read_labels

log = logging.getLogger(__name__)


def bundle_folders(settings: Settings) -> list[Path]:
    """The folders of a model bundle, first choice first: a version that was pulled, then
    ``model.path``.

    The pulled one is named by its own folder, not by the link: a pull must not exchange it half
    read.
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
    """All that labels records, loaded and checked. No part belongs to an event loop or has threads
    of its own.
    """

    taxonomy: Taxonomy
    rules: RuleSet
    bundle: Bundle | None
    prompt: Prompt | None
    corrections: CorrectionTable
    #: The encoders of all bundles: those that are alike are one.
    encoders: Encoders = msgspec.field(default_factory=Encoders)
    #: The parts of further labellings, in order.
    further: tuple[Parts, ...] = ()


async def read_parts(settings: Settings) -> Parts:
    """Labels, then rules, model, prompt and corrections, of every labelling.

    Raises:
        ConfigError: every fault of all of them together; where the labels of one cannot be read,
            that is the only fault of it.
    """
    encoders = Encoders()
    found: list[Parts] = []
    problems: list[str] = []
    names = labelling_names(settings)
    for name, one in zip(names, each_labelling(settings), strict=True):
        try:
            found.append(await _read_labelling(name, one, encoders))
        except ConfigError as error:
            of_labelling = f"labelling {name}: " if name else ""
            problems += [f"{of_labelling}{problem}" for problem in error.problems]
    if problems:
        raise ConfigError(problems)
    return msgspec.structs.replace(found[0], further=tuple(found[1:]))


async def _read_labelling(name: str, settings: Settings, encoders: Encoders) -> Parts:
    """The parts of the labelling ``name``. Raises ConfigError."""
    taxonomy = await asyncio.to_thread(read_labels, settings.labels.path)
    rules, bundle, prompt, corrections = await asyncio.gather(
        first_rules(settings, taxonomy),
        read_bundle(settings, taxonomy, encoders),
        read_prompt(settings, taxonomy),
        read_corrections(settings, taxonomy, name),
        return_exceptions=True,
    )
    problems = [
        *_problems(rules),
        *_place(settings, _problems(bundle, "model.path: ")),
        *_problems(prompt, "llm.prompt: "),
        *_problems(corrections, "corrections.path: "),
    ]
    if problems:
        raise ConfigError(problems)
    assert isinstance(rules, RuleSet)
    assert not isinstance(bundle, BaseException)
    assert not isinstance(prompt, BaseException)
    assert not isinstance(corrections, BaseException)
    return Parts(taxonomy, rules, bundle, prompt, corrections, encoders)


def _problems(outcome: object, setting: str = "") -> list[str]:
    """The faults of one part, each behind its ``setting``. Raises what is no fault."""
    if isinstance(outcome, WaybillError):
        return [f"{setting}{problem}" for problem in outcome.problems]
    if isinstance(outcome, BaseException):
        raise outcome
    return []


def _place(settings: Settings, problems: list[str]) -> list[str]:
    """The faults of the bundle; when its folder is not there, where it was looked for."""
    path = settings.model.path
    if not problems or path is None:
        return problems
    hidden = hidden_copy(path)
    if hidden is not None:
        used = Path(path).absolute()
        told = f"model.path: {used} is used, not the model that comes with Waybill ({hidden})"
        return [*problems, told]
    if resolve_path(path)[0].exists():
        return problems
    return [f"model.path: no such folder: {path}{looked_for(path)}"]


async def read_prompt(settings: Settings, taxonomy: Taxonomy) -> Prompt | None:
    """Load and check the LLM's prompt on a thread; None without a provider. Raises
    ConfigError.
    """
    if settings.llm.provider is None:
        return None
    return await asyncio.to_thread(_load_prompt, settings, taxonomy)


def _load_prompt(settings: Settings, taxonomy: Taxonomy) -> Prompt:
    asked = []
    for route in settings.routes:
        if "llm" in route.tiers:
            labels = route.labels or taxonomy.names
            asked.append([label for label in labels if label != taxonomy.fallback])
    return load_prompt(prompt_file(settings), taxonomy, asked)


def correction_source(settings: Settings, labelling: str = "") -> CorrectionSource:
    """Where corrections of the labelling come from; nothing where none are configured."""
    corrections = settings.corrections
    paths: list[Path] = []
    if corrections.path is not None:
        paths.append(Path(corrections.path))
    if corrections.follow is not None and not is_address(corrections.follow):
        paths.append(Path(corrections.follow))
    return CorrectionSource(paths, labelling)


async def read_corrections(
    settings: Settings, taxonomy: Taxonomy, labelling: str = ""
) -> CorrectionTable:
    """What people said, from the files and from what was fetched before, on a thread. Raises
    CorrectionsError.
    """
    source = correction_source(settings, labelling)
    if settings.corrections.follow_cache is not None:
        await asyncio.to_thread(take_cached, source, Path(settings.corrections.follow_cache))
    return await asyncio.to_thread(source.load, taxonomy)


def take_cached(source: CorrectionSource, cache: Path) -> None:
    """Have ``source`` begin with what was fetched before; a copy that is damaged is left out."""
    try:
        data = read_small(cache, MAX_TOTAL_BYTES)
        parse_history(data, str(cache)).clear()
    except FileNotFoundError:
        return
    except (OSError, CorrectionsError) as error:
        log.warning("the copy of followed corrections is left out", extra={"detail": str(error)})
        return
    source.take_fetched(data)


async def read_bundle(
    settings: Settings, taxonomy: Taxonomy, encoders: Encoders | None = None
) -> Bundle | None:
    """Load and verify the bundle to start with on a thread; None when there is to be none.

    A pulled version that is refused leaves its place to ``model.path``, and an encoder that is a
    service may be out of reach: neither keeps records from coming through. Raises BundleError.
    """
    folders = bundle_folders(settings)
    for i, folder in enumerate(folders, 1):
        try:
            return await asyncio.to_thread(
                load_bundle,
                folder,
                taxonomy=taxonomy,
                needs_encoder=False,
                encoders=encoders,
            )
        except BundleError as error:
            if i == len(folders):
                raise
            log.error(
                "a pulled model was refused", extra={"reason": error.code, "detail": error.detail}
            )
    return None
