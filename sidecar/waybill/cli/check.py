"""``waybill check``, ``waybill explain`` and ``waybill rules``: the service's loading, without serving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from waybill.core.errors import ConfigError, RuleSetError
from waybill.core.records import UNCLASSIFIED
from waybill.labelling.explain import explain
from waybill.labelling.rules.ruleset import RuleSet
from waybill.ops.deadletter import prepare_folder
from waybill.ops.metrics import Metrics
from waybill.service.app import VERSION, open_pipeline
from waybill.service.reload import read_rules
from waybill.settings.schema import Settings, hidden_copy, resolve_path


async def check(settings: Settings, problems: Sequence[str] = ()) -> None:
    """Load everything and print what would be in force.

    Raises:
        ConfigError: with the ``problems`` of the settings and every fault found in rules and model.
    """
    try:
        await _load_and_print(settings)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from None
    if problems:
        raise ConfigError(problems)
    print("ok")


async def _load_and_print(settings: Settings) -> None:
    async with open_pipeline(settings, Metrics(VERSION)) as (pipeline, model, llm):
        prepare_folder(settings.dead_letter)
        rules = pipeline.rules
        for path in (settings.rules.path, *settings.rules.extra_paths, settings.model.path):
            if path is not None and (found := resolve_path(path))[1]:
                print(f"{path}: not found here, the packaged copy {found[0]} is used")
            elif path is not None and (hidden := hidden_copy(path)) is not None:
                print(f"{path}: the one here is used, and the packaged {hidden} is not")
        print(
            f"rules: {len(rules.rules)} in force, {sum(rule.samples for rule in rules.rules)} samples pass"
        )
        print(f"model: {model.version if model else 'none'}")
        if llm is not None:
            print(f"llm: {llm.version}")
        labels = {rule.label for rule in rules.rules} | {UNCLASSIFIED}
        if model is not None:
            labels |= set(model.bundle.manifest.labels)
        print(
            f"loki: target_label as an index label can split each stream into at most {len(labels)}"
        )


async def explain_one(settings: Settings, source: str, message: str) -> dict[str, Any]:
    """`explain` with a pipeline of its own. Raises ConfigError."""
    async with open_pipeline(settings, Metrics(VERSION)) as (pipeline, model, _):
        return await explain(pipeline, model, source, message)


async def read_rules_or_fail(settings: Settings) -> RuleSet:
    """The configured rules. Raises ConfigError with every fault."""
    try:
        return await read_rules(settings)
    except RuleSetError as error:
        raise ConfigError([str(one) for one in error.errors]) from None
