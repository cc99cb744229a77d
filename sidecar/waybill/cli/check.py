"""``waybill check``, ``waybill explain`` and ``waybill rules``: the service's loading, without serving."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from waybill.core.errors import ConfigError, RuleSetError
from waybill.core.version import VERSION
from waybill.labelling.explain import explain
from waybill.labelling.llm.tier import LlmTier
from waybill.labelling.model.batcher import Batcher
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.rules.ruleset import RuleSet
from waybill.ops.deadletter import prepare_folder
from waybill.ops.metrics import Metrics
from waybill.service.loading import read_rules
from waybill.service.opening import open_pipeline
from waybill.settings.naming import missing_secrets, name_secrets
from waybill.settings.resources import hidden_copy, resolve_path
from waybill.settings.schema import Settings
from waybill.settings.sources import Loaded
from waybill.settings.taxonomy import read_labels

#: Sections that say what is loaded.
_LOADED_BY = ("labels", "rules", "model", "llm", "routes", "limits")


async def check(loaded: Loaded) -> None:
    """Load everything and print what would be in force, or nothing when there is any fault.

    Raises:
        ConfigError: with the problems of the settings and every fault found in rules and model.
    """
    problems = [str(problem) for problem in loaded.problems]
    if any(loaded.findings.concern(section) for section in _LOADED_BY):
        # What would be loaded is not what was meant, and neither would its faults be.
        raise ConfigError(problems)
    try:
        lines = await _load(loaded.settings)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from None
    if problems:
        raise ConfigError(problems)
    for missing in missing_secrets(loaded.settings):
        print(f"warning: {missing}", file=sys.stderr)
    for line in lines:
        print(line)
    print("ok")


async def _load(settings: Settings) -> list[str]:
    """What would be in force, line by line. Raises ConfigError."""
    async with open_pipeline(settings, Metrics(VERSION)) as (pipeline, model, llm):
        prepare_folder(settings.dead_letter)
        return [
            *_parts(pipeline, model, llm),
            *_paths(settings),
            *_secrets(settings),
            _loki(pipeline, model, llm, settings),
        ]


def _parts(pipeline: Pipeline, model: Batcher | None, llm: LlmTier | None) -> list[str]:
    rules = pipeline.rules
    samples = sum(rule.samples for rule in rules.rules)
    lines = [
        f"rules: {len(rules.rules)} in force, {samples} samples pass",
        f"model: {model.version if model else 'none'}",
    ]
    if llm is not None:
        lines.append(f"llm: {llm.version}")
    return lines


def _paths(settings: Settings) -> list[str]:
    """Which folders were taken where a relative path could have led to another one."""
    lines: list[str] = []
    for path in (settings.rules.path, *settings.rules.extra_paths, settings.model.path):
        if path is None:
            continue
        found, is_packaged = resolve_path(path)
        hidden = hidden_copy(path)
        if is_packaged:
            lines.append(f"{path}: the one that comes with Waybill, {found}")
        elif hidden is not None:
            lines.append(
                f"{path}: the folder {found.absolute()} takes the place of the one that comes with "
                f"Waybill ({hidden}), which is not used"
            )
    return lines


def _secrets(settings: Settings) -> list[str]:
    named = name_secrets(settings)
    return [f"secrets: {', '.join(named)}"] if named else []


def _loki(
    pipeline: Pipeline, model: Batcher | None, llm: LlmTier | None, settings: Settings
) -> str:
    labels = {rule.label for rule in pipeline.rules.rules} | {pipeline.taxonomy.fallback}
    if model is not None:
        labels |= set(model.bundle.manifest.labels)
    if llm is not None:
        for route in settings.routes:
            if "llm" in route.tiers:
                labels |= set(route.labels or pipeline.taxonomy.names)
    return (
        f"labels: {len(labels)} may be given; as an index label in Loki, target_label can split "
        f"each stream into at most {len(labels)}"
    )


async def explain_one(settings: Settings, source: str, message: str) -> dict[str, Any]:
    """`explain` with a pipeline of its own. Raises ConfigError."""
    async with open_pipeline(settings, Metrics(VERSION)) as (pipeline, model, _):
        return await explain(pipeline, model, source, message)


async def read_rules_or_fail(settings: Settings) -> RuleSet:
    """The configured rules. Raises ConfigError with every fault."""
    try:
        taxonomy = await asyncio.to_thread(read_labels, settings.labels.path)
        return await read_rules(settings, taxonomy)
    except RuleSetError as error:
        raise ConfigError([str(one) for one in error.errors]) from None
