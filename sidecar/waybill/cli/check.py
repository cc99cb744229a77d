"""``waybill check``: settings, rules and model as the service would load them, without serving."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from waybill.cli.parsing import Commands, add_command
from waybill.cli.terminal import tell
from waybill.core.errors import BundleError, ConfigError

if TYPE_CHECKING:
    from waybill.labelling.model.batcher import Batcher
    from waybill.labelling.pipeline import Pipeline
    from waybill.labelling.rules.ruleset import RuleSet
    from waybill.service.opening import Labelling
    from waybill.settings.schema import Settings
    from waybill.settings.sources import Loaded

__all__ = ["add", "check"]

#: Of contradicted corrections so many are told.
_TOLD_CONTRADICTIONS = 20
#: Sections that say what is loaded.
_LOADED_BY = ("labels", "rules", "model", "llm", "routes", "limits", "labellings")


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "check",
        _run,
        "Validate settings, rules and model together; exit code 2 on any fault.",
        "waybill check --config waybill.yaml",
    )
    parser.add_argument(
        "--print", action="store_true", help="print the effective settings, secrets masked"
    )


def _run(given: argparse.Namespace) -> int:
    from waybill.settings.dump import dump_settings
    from waybill.settings.sources import read_settings
    from waybill.settings.written import cut_texts

    loaded = read_settings(given.config, given.overrides)
    if given.print:
        print(json.dumps(dump_settings(loaded.settings), indent=2))
    for doubt in cut_texts(loaded.settings, given.config):
        tell(f"warning: {doubt}")
    asyncio.run(check(loaded))
    return 0


async def check(loaded: Loaded) -> None:
    """Load everything and print what would be in force, or nothing when there is any fault.

    Raises:
        ConfigError: with the problems of the settings and every fault found in rules and model.
    """
    from waybill.settings.naming import closed_doors, missing_secrets

    problems = [str(problem) for problem in loaded.problems]
    if loaded.settings.llm.base_url is None:  # a server of one's own may need no key
        problems += missing_secrets(loaded.settings)
    problems = problems or _faulty_files(loaded.settings)
    if any(loaded.findings.concern(section) for section in _LOADED_BY):
        # What would be loaded is not what was meant, and neither would its faults be.
        raise ConfigError(problems)
    try:
        lines = await _load(loaded.settings)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from None
    if problems:
        raise ConfigError(problems)
    for doubt in missing_secrets(loaded.settings):
        tell(f"warning: {doubt}")
    for folder in _without_rules(loaded.settings):
        tell(f"warning: {folder}: no rule file (*.yaml, *.yml) in this folder")
    for line in (*lines, *closed_doors(loaded.settings)):
        print(line)
    print("ok")


async def _load(settings: Settings) -> list[str]:
    """What would be in force, line by line. Raises ConfigError."""
    from waybill.core.version import VERSION
    from waybill.labelling.llm.build import check_extras
    from waybill.ops.deadletter import check_folder
    from waybill.ops.metrics import Metrics
    from waybill.service.opening import open_pipeline

    if settings.llm.provider is not None:
        check_extras(settings.llm)
    # It writes nothing: an LLM's verdicts are kept in a file.
    in_memory = msgspec.structs.replace(settings.llm, store="memory")
    settings = msgspec.structs.replace(settings, llm=in_memory)
    check_folder(settings.dead_letter)
    async with open_pipeline(settings, Metrics(VERSION)) as opened:
        lines: list[str] = []
        for labelling in opened.labellings:
            lines += _parts(labelling)
        lines += _corrections(settings, opened.pipeline, opened.model)
        lines += _shadow(settings, opened.pipeline)
        lines += [*_paths(settings), *_secrets(settings)]
        lines += [_loki(labelling) for labelling in opened.labellings]
        return lines


def _faulty_files(settings: Settings) -> list[str]:
    """Certificates and tokens that listeners or pushes could not use."""
    from waybill.handback.target import client_tls
    from waybill.ops.tls import server_tls
    from waybill.ops.tokens import Tokens
    from waybill.ops.watched import WatchedFile
    from waybill.web.auth import read_tokens

    tokens, tokens_of_people = settings.http.tokens_file, settings.workbench.tokens_file
    problems: list[str] = []
    for use in (
        lambda: server_tls(settings.http.tls, "http.tls"),
        lambda: server_tls(settings.forward.tls, "forward.tls"),
        lambda: server_tls(settings.workbench.tls, "workbench.tls"),
        lambda: client_tls(settings.return_.tls),
        lambda: tokens and Tokens(WatchedFile(tokens)),
        lambda: tokens_of_people and read_tokens(Path(tokens_of_people)),
    ):
        try:
            use()
        except ConfigError as error:
            problems += error.problems
    return problems


def _parts(labelling: Labelling) -> list[str]:
    from waybill.cli.warnings import warn_of_rules

    rules = labelling.pipeline.rules
    warn_of_rules(rules.advice)
    samples = sum(rule.samples for rule in rules.rules)
    in_force = f"{len(rules.rules)} in force{_replaced(rules)}"
    name = f"{labelling.name} " if labelling.name else ""
    version = labelling.model.version if labelling.model else "none"
    lines = [
        f"{name}rules: {in_force}, {samples} samples pass{_warned(rules.advice)}",
        *_by_folder(rules),
        f"{name}model: {version}",
    ]
    if labelling.llm is not None:
        lines.append(f"llm: {labelling.llm.version}")
    return lines


def _without_rules(settings: Settings) -> list[Path]:
    """The folders of rules that hold no rules."""
    from waybill.labelling.rules.files import rule_files
    from waybill.settings.resources import resolve_path

    paths = (settings.rules.path, *settings.rules.extra_paths)
    folders = [resolve_path(path)[0] for path in paths if path is not None]
    return [folder for folder in folders if not rule_files([folder])]


def _by_folder(rules: RuleSet) -> list[str]:
    """How many rules each folder has, where there are several."""
    counts = Counter(str(Path(rule.file).parent) for rule in rules.rules)
    if len(counts) < 2:
        return []
    return [f"  {count} from {folder}" for folder, count in counts.items()]


def _replaced(rules: RuleSet) -> str:
    if not rules.replaced:
        return ""
    return f" ({len(rules.replaced)} disabled or overridden: waybill rules list)"


def _corrections(settings: Settings, pipeline: Pipeline, model: Batcher | None) -> list[str]:
    """What people said, and what rules and model say against it.

    Raises:
        ConfigError: something contradicts them, and ``corrections.guard`` is ``enforce``.
    """
    from waybill.labelling.corrections.guard import hold_rules
    from waybill.service.guard import hold_bundle

    table = pipeline.corrections
    if settings.corrections.path is None and not len(table):
        return []
    told = [str(one) for one in hold_rules(pipeline.rules, table).contradictions]
    if model is not None:
        held = hold_bundle(model.bundle, pipeline, settings.model.threshold)
        told += [str(one) for one in held.contradictions]
    if told and settings.corrections.guard == "enforce":
        raise ConfigError([f"corrections.guard: {one}" for one in told[:_TOLD_CONTRADICTIONS]])
    for one in told[:_TOLD_CONTRADICTIONS]:
        tell(f"warning: {one}")
    disputed = f", {len(table.disputed)} disputed" if table.disputed else ""
    return [f"corrections: {len(table)} in force{disputed}, {len(told)} contradicted"]


def _warned(advice: Sequence[object]) -> str:
    return f", {len(advice)} warnings" if advice else ""


def _shadow(settings: Settings, pipeline: Pipeline) -> list[str]:
    """The candidate beside the model; one that does not load keeps nothing from starting."""
    from waybill.labelling.model.bundle import load_bundle
    from waybill.service.shadow import shadow_folder

    if settings.model.shadow.path is None:
        return []
    try:
        folder = shadow_folder(Path(settings.model.shadow.path))
        return [f"shadow: {load_bundle(folder, taxonomy=pipeline.taxonomy).version}"]
    except (BundleError, OSError) as error:
        tell(f"warning: model.shadow.path: {error}")
        return ["shadow: none"]


def _paths(settings: Settings) -> list[str]:
    """Which folders were taken where a relative path could have led to another one."""
    from waybill.settings.resources import hidden_copy, resolve_path

    lines: list[str] = []
    for path in (settings.rules.path, settings.model.path):
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
    from waybill.settings.naming import name_secrets

    named = name_secrets(settings)
    if not named:
        return []
    return [f"secrets: {', '.join(named)}"]


def _loki(labelling: Labelling) -> str:
    pipeline = labelling.pipeline
    labels = {rule.label for rule in pipeline.rules.rules} | {pipeline.taxonomy.fallback}
    if labelling.llm is not None:
        for route in labelling.settings.routes:
            if "llm" in route.tiers:
                labels |= set(route.labels or pipeline.taxonomy.names)
    if labelling.model is not None:
        labels |= set(labelling.model.bundle.manifest.labels)
    field = labelling.settings.fields.label
    name = f"{labelling.name} " if labelling.name else ""
    return (
        f"{name}labels: {len(labels)} may be given; if {field} becomes an index label in Loki, "
        f"one stream becomes up to {len(labels)}"
    )
