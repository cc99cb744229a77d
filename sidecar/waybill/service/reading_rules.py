"""The configured rules from their files, compiled and checked; nothing here is in force yet.

Apart from `waybill.service.loading`, which brings the models' libraries along: compiling takes
longest of all that a start does, so it begins before the rest is even imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path

import msgspec

from waybill.core.errors import CompilerBusyError, ConfigError, RuleError, RuleSetError
from waybill.core.labels import Taxonomy
from waybill.labelling.rules.artefact import Advice, CompileOptions, Known
from waybill.labelling.rules.cache import RuleCache
from waybill.labelling.rules.loading import load_ruleset
from waybill.labelling.rules.ruleset import RuleSet
from waybill.service.followed_rules import followed_folder
from waybill.settings.environment import cache_folder
from waybill.settings.labellings import added_fields, each_labelling, names_added
from waybill.settings.resources import comes_along, hidden_copy, resolve_path
from waybill.settings.schema import RulesFollowSettings, Settings
from waybill.settings.taxonomy import read_labels

log = logging.getLogger(__name__)


async def compile_ahead(settings: Settings) -> None:
    """Have the rules of every labelling compiled, one after the other, and kept for the next that
    reads them; what is wrong with them is said then.
    """
    with contextlib.suppress(ConfigError, RuleSetError):
        for one in each_labelling(settings):
            await read_rules(one, await asyncio.to_thread(read_labels, one.labels.path))


def rule_folders(settings: Settings, followed: Path | None = None) -> list[Path]:
    """The folders that rules are read from, in order; ``followed`` in place of that of
    ``rules.follow``. One that is named twice is read once.

    Only ``rules.path`` falls back to the packaged rules: further ones are the user's own.
    """
    folders = [Path(path) for path in settings.rules.extra_paths]
    followed = followed or followed_folder(settings)
    if followed is not None:
        folders.append(followed)
    if settings.rules.path is not None:
        folders.insert(0, resolve_path(settings.rules.path)[0])
    once: dict[Path, Path] = {}
    for folder in folders:
        once.setdefault(folder.resolve(), folder)
    return list(once.values())


async def first_rules(settings: Settings, taxonomy: Taxonomy) -> RuleSet:
    """`read_rules` to start with: files of a workbench that no longer fit beside the own ones are
    left out, for they must not keep records from coming through. Raises RuleSetError.
    """
    try:
        return await read_rules(settings, taxonomy)
    except RuleSetError as error:
        if followed_folder(settings) is None:
            raise
        refused = error
    alone = msgspec.structs.replace(settings.rules, follow=RulesFollowSettings())
    rules = await read_rules(msgspec.structs.replace(settings, rules=alone), taxonomy)
    detail = str(refused.errors[0])
    log.error("followed rules were refused; the own rules serve", extra={"detail": detail})
    return rules


async def read_rules(
    settings: Settings,
    taxonomy: Taxonomy,
    followed: Path | None = None,
    known: Known | None = None,
) -> RuleSet:
    """Parse, compile and check the configured rules in a child process; ``followed`` as of
    `rule_folders`, what is ``known`` is not compiled again.

    What is doubtful about them is in ``advice``. Raises RuleSetError.
    """
    hidden = await asyncio.to_thread(hidden_rules, settings)
    try:
        rules = await load_ruleset(
            rule_folders(settings, followed),
            cache=rule_cache(settings),
            **compile_options(settings, taxonomy, known),
        )
    except CompilerBusyError:
        raise
    except RuleSetError as error:
        if hidden is None:
            raise RuleSetError(_labels_at_once(settings, error.errors)) from None
        # Perhaps nobody meant that folder: Prometheus and others have one of the same name.
        told = RuleError(error.errors[0].code, hidden.detail, file=hidden.file)
        raise RuleSetError([*error.errors, told]) from None
    if hidden is not None:
        rules.advice = (hidden, *rules.advice)
    return rules


def compile_options(
    settings: Settings, taxonomy: Taxonomy, known: Known | None = None
) -> CompileOptions:
    """How rules are compiled by these settings."""
    return {
        "labels": taxonomy.names,
        "cpu_secs": settings.rules.compile_secs,
        "memory_bytes": settings.rules.compile_bytes,
        "max_message_bytes": settings.limits.message_bytes,
        "reserved": names_added(added_fields(settings)),
        "disable": settings.rules.disable,
        "known": known,
    }


def rule_cache(settings: Settings) -> RuleCache | None:
    """Where compiled rules are kept; None: nowhere."""
    folder = cache_folder() if settings.rules.keep_compiled else None
    return None if folder is None else RuleCache(folder / "rules")


def _labels_at_once(settings: Settings, errors: Sequence[RuleError]) -> list[RuleError]:
    """``errors``, with one for all labels of packaged rules: other labels need other rules."""
    path = settings.rules.path
    if path is None:
        return list(errors)
    folder = resolve_path(path)[0]
    strange = [
        error
        for error in errors
        if error.code == "label" and error.file and Path(error.file).parent == folder
    ]
    if not strange or not comes_along(path):
        return list(errors)
    detail = (
        f"these rules come with Waybill, and {len(strange)} of them give labels that you do not "
        "have; set rules.path to a folder of rules of your own, or to null where you have none"
    )
    told = RuleError("label", detail, file=str(folder))
    return [told, *(error for error in errors if error not in strange)]


def hidden_rules(settings: Settings) -> Advice | None:
    """That a folder of the working directory is used in place of the packaged rules, if one is."""
    path = settings.rules.path
    hidden = None if path is None else hidden_copy(path)
    if path is None or hidden is None:
        return None
    detail = (
        f"this folder of the working directory is used as rules.path, and the rules that come with "
        f"Waybill ({hidden}) are not used; to have both, give it another name and put that into "
        "rules.extra_paths"
    )
    return Advice("packaged_rules_hidden", detail, str(Path(path).absolute()))
