"""The two sides of a backtest: rules and a model each, in pipelines like those that serve.

The language model is never asked: it has a price, and it says the same on both sides. Corrections
are left out as well, so that it shows what stands beneath them.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import NamedTuple

import msgspec

from waybill.core.errors import BundleError, ConfigError, RuleError, RuleSetError
from waybill.core.labels import Taxonomy
from waybill.core.version import VERSION
from waybill.labelling.corrections.table import make_table
from waybill.labelling.model.batcher import Batcher
from waybill.labelling.model.bundle import Bundle
from waybill.labelling.model.tier import ModelTier
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.rules.loading import compiled_last
from waybill.labelling.rules.ruleset import RuleSet
from waybill.labelling.tier import Tier
from waybill.learn.backtest.result import SideReport
from waybill.ops.metrics import Metrics
from waybill.service.loading import Parts, read_bundle
from waybill.service.opening import open_pipeline
from waybill.service.reading_rules import read_rules
from waybill.settings.deadlines import deadlines_of
from waybill.settings.resources import resolve_path
from waybill.settings.schema import Settings
from waybill.settings.taxonomy import read_labels

__all__ = ["CURRENT", "NONE", "Lent", "Side", "SideSpec", "open_sides", "parse_side"]

#: So long the model is waited for: it ends what it has taken by itself.
_PATIENCE_SECS = 24 * 3600.0
#: Messages for which the model has room, at least: more than are put to it at once.
_LEAST_ROOM = 4096
#: As the settings say; and no rules, or no model, at all.
CURRENT, NONE = "current", "none"


class SideSpec(NamedTuple):
    """What a side is made of: a rule file, a folder of them, or a word; a bundle, or a word."""

    rules: str = CURRENT
    model: str = CURRENT

    def __str__(self) -> str:
        if self.model == CURRENT:
            return self.rules
        return f"{self.rules},{self.model}"


class Lent(NamedTuple):
    """What a caller has loaded: the model of the settings, and the rules of both sides, which
    nobody else may use meanwhile.
    """

    bundle: Bundle | None
    rules: list[RuleSet]


class Side(NamedTuple):
    """One side, ready to label; ``report`` collects what it costs and how good it is."""

    pipeline: Pipeline
    bundle: Bundle | None
    batcher: Batcher | None
    report: SideReport

    @property
    def rules(self) -> RuleSet:
        """Its rules."""
        return self.pipeline.rules


def parse_side(text: str) -> SideSpec:
    """``RULES[,MODEL]``; an empty part is what the settings say.

    >>> parse_side("rules/new,none")
    SideSpec(rules='rules/new', model='none')
    """
    rules, _, model = text.partition(",")
    return SideSpec(rules.strip() or CURRENT, model.strip() or CURRENT)


@contextlib.asynccontextmanager
async def open_sides(
    settings: Settings,
    old: SideSpec,
    new: SideSpec,
    *,
    is_alone: bool,
    lent: Lent | None = None,
) -> AsyncIterator[tuple[Side, Side]]:
    """Both sides, loaded and checked; a model that both have is loaded once.

    ``is_alone``: the rules of a side are all there are, else the packaged ones stand beside them.
    ``lent``: what the caller has loaded already.

    Raises:
        ConfigError: with every fault of rules and models.
    """
    settings = _without_others(settings)
    taxonomy = read_labels(settings.labels.path)
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="waybill-")))
        name = Path(new.rules).name  # one file against another: both stand at the same place
        mine = _settings_of(settings, old, folder / "old", name, is_alone=is_alone)
        theirs = _settings_of(settings, new, folder / "new", name, is_alone=is_alone)
        if lent is not None:
            rules = lent.rules
        else:
            rules = await _read_both(mine, theirs, taxonomy, (old, new))
        first = await _open(stack, mine, rules[0], taxonomy, old, lent)
        if mine.model == theirs.model:
            yield first, _beside(first, theirs, rules[1], new)
        else:
            yield first, await _open(stack, theirs, rules[1], taxonomy, new)


def _without_others(settings: Settings) -> Settings:
    """The settings without a language model, and with a model that turns nothing away."""
    replace = msgspec.structs.replace
    room = max(_LEAST_ROOM, settings.model.queue_messages)
    return replace(
        settings,
        llm=replace(settings.llm, provider=None),
        model=replace(settings.model, queue_messages=room),
    )


def _settings_of(
    settings: Settings, spec: SideSpec, scratch: Path, name: str, *, is_alone: bool
) -> Settings:
    """The settings of a side. Raises ConfigError for a file or folder that is not there."""
    replace = msgspec.structs.replace
    if spec.rules != CURRENT:
        folder = _folder_of(spec.rules, scratch, name)
        if is_alone or spec.rules == NONE:
            rules = replace(settings.rules, path=folder, extra_paths=())
        else:
            rules = replace(settings.rules, extra_paths=(folder,))
        settings = replace(settings, rules=rules)
    if spec.model != CURRENT:
        path = None if spec.model == NONE else spec.model
        if path is not None and not resolve_path(path)[0].is_dir():
            raise ConfigError([f"no such model bundle: {path}; expected a folder, or {NONE}"])
        follow = replace(settings.model.follow, source=None)
        settings = replace(settings, model=replace(settings.model, path=path, follow=follow))
    return settings


def _folder_of(rules: str, scratch: Path, name: str) -> str:
    """A folder with the rules: the one that is named, or one with a copy of a single file."""
    path = Path(rules)
    if rules != NONE and path.is_dir():
        return str(path.absolute())
    scratch.mkdir()
    if rules == NONE:
        (scratch / "none.yaml").write_text("rules: []\n")
    elif path.is_file():
        is_named = name.endswith((".yaml", ".yml"))
        shutil.copyfile(path, scratch / (name if is_named else f"{path.stem}.yaml"))
    else:
        words = f"a rule file, a folder of them, {CURRENT} or {NONE}"
        raise ConfigError([f"no such rules: {rules}; expected {words}"])
    return str(scratch)


async def _read_both(
    old: Settings, new: Settings, taxonomy: Taxonomy, specs: tuple[SideSpec, SideSpec]
) -> list[RuleSet]:
    """The rules of both. Raises ConfigError with the faults of both.

    What both have is compiled once; where they need not have anything, two processes compile.
    """
    if old.rules.path == new.rules.path:
        first = await _result_of(read_rules(old, taxonomy))
        known = compiled_last() if isinstance(first, RuleSet) else None
        found = [first, await _result_of(read_rules(new, taxonomy, known=known))]
    else:
        both = (read_rules(old, taxonomy), read_rules(new, taxonomy))
        found = list(await asyncio.gather(*both, return_exceptions=True))
    problems: list[str] = []
    rules: list[RuleSet] = []
    for one, spec, settings in zip(found, specs, (old, new), strict=True):
        if isinstance(one, RuleSetError):
            problems += [_told(fault, spec, settings) for fault in one.errors]
        elif isinstance(one, BaseException):
            raise one
        else:
            rules.append(one)
    if problems:
        raise ConfigError(problems)
    return rules


async def _result_of(reading: Awaitable[RuleSet]) -> RuleSet | BaseException:
    (found,) = await asyncio.gather(reading, return_exceptions=True)
    return found


def _told(fault: RuleError, spec: SideSpec, settings: Settings) -> str:
    """A fault, with the file as the user named it, and not the copy that was read."""
    text = str(fault) if fault.file is not None else f"{spec.rules}: {fault}"
    if Path(spec.rules).is_file():
        folders = settings.rules.extra_paths or (settings.rules.path or "",)
        for copy in Path(folders[-1]).iterdir():
            text = str(fault).replace(str(copy), spec.rules)
    if fault.code == "duplicate_id":
        text += "; if these are all of your rules, and not some beside the packaged ones: --alone"
    return text


async def _open(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    rules: RuleSet,
    taxonomy: Taxonomy,
    spec: SideSpec,
    lent: Lent | None = None,
) -> Side:
    """A side with a model of its own, or the one that is lent. Raises ConfigError."""
    try:
        if lent is not None and spec.model == CURRENT:
            bundle = lent.bundle
        else:
            bundle = await read_bundle(settings, taxonomy)
    except BundleError as error:
        raise ConfigError([f"{settings.model.path}: {error}"]) from None
    parts = Parts(taxonomy, rules, bundle, None, make_table(()))
    alone = msgspec.structs.replace(settings, labellings=())
    opening = open_pipeline(alone, Metrics(VERSION), parts, patience_secs=_PATIENCE_SECS)
    opened = await stack.enter_async_context(opening)
    return Side(opened.pipeline, bundle, opened.model, _report(spec, rules, bundle))


def _beside(first: Side, settings: Settings, rules: RuleSet, spec: SideSpec) -> Side:
    """A side with the model of ``first``."""
    tiers: dict[str, Tier] = {}
    if first.batcher is not None:
        deadlines = msgspec.structs.replace(deadlines_of(settings), model=_PATIENCE_SECS)
        tiers["model"] = ModelTier(first.batcher, settings.model, deadlines)
    pipeline = Pipeline(settings, rules, tiers, taxonomy=first.pipeline.taxonomy)
    return Side(pipeline, first.bundle, first.batcher, _report(spec, rules, first.bundle))


def _report(spec: SideSpec, rules: RuleSet, bundle: Bundle | None) -> SideReport:
    size = 0
    if bundle is not None and bundle.folder is not None:
        size = sum(file.stat().st_size for file in bundle.folder.iterdir() if file.is_file())
    return SideReport(
        name=str(spec),
        rules=len(rules.rules),
        rules_version=rules.version,
        model=bundle.version if bundle is not None else None,
        rules_bytes=rules.database_bytes,
        model_bytes=size,
    )
