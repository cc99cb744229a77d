"""``waybill rules``: check, list, measure and propose rules."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

from waybill.cli import discover
from waybill.cli.backtest import add_diff
from waybill.cli.parsing import (
    Commands,
    add_command,
    add_group,
    add_labelling_option,
    load_and_tell,
)
from waybill.cli.terminal import cleaned, note_file, tell

if TYPE_CHECKING:
    from waybill.labelling.rules.ruleset import RuleSet
    from waybill.settings.schema import Settings

#: Of contradicted corrections so many are told.
_TOLD_CONTRADICTIONS = 20

__all__ = ["add", "read_rules_or_fail"]


def add(commands: Commands) -> None:
    """Declare the group."""
    actions = add_group(commands, "rules", "Work with rule files.")
    _add_test(actions)
    listed = add_command(
        actions,
        "list",
        _list,
        "List the rules in the order in which they decide: file, line, id, label.",
        "waybill rules list --set rules.path=./rules",
    )
    add_labelling_option(listed)
    coverage = add_command(
        actions,
        "coverage",
        _coverage,
        "Show how much of some lines each rule file decides, and where files disagree.",
        "waybill rules coverage app.log more.csv",
    )
    coverage.add_argument(
        "files", nargs="+", metavar="FILE", help="text, NDJSON, JSON or CSV; - for stdin"
    )
    add_labelling_option(coverage)
    _add_suggest(actions)
    discover.add(actions)
    add_diff(actions)
    add_command(
        actions,
        "schema",
        _schema,
        "Print the JSON schema of a rule file, for editors that complete and check.",
        "waybill rules schema > waybill-rules.schema.json",
    )


def _add_test(actions: Commands) -> None:
    test = add_command(
        actions,
        "test",
        _test,
        "Check all rules and their samples, and show which rule takes each MESSAGE.",
        "waybill rules test 'Backup completed successfully.' --source nas",
    )
    test.add_argument(
        "messages", nargs="*", metavar="MESSAGE", help="show which rule takes each message"
    )
    test.add_argument("--source", default="", help="the messages' source")
    add_labelling_option(test)


def _add_suggest(actions: Commands) -> None:
    suggest = add_command(
        actions,
        "suggest",
        _suggest,
        "Propose rules from what the language model has judged alike often enough.",
        "waybill rules suggest --from llm --at-least 5 -o suggested.yaml",
    )
    suggest.add_argument(
        "--from", choices=("llm",), required=True, dest="origin", help="whose verdicts"
    )
    suggest.add_argument(
        "--at-least", type=int, default=3, metavar="N", help="judgements for a rule (default: 3)"
    )
    suggest.add_argument(
        "--messages", type=Path, metavar="FILE", help="recorded messages (CSV, NDJSON, JSON, text)"
    )
    suggest.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: stdout")


def read_rules_or_fail(settings: Settings) -> RuleSet:
    """The configured rules. Raises ConfigError with every fault."""
    from waybill.core.errors import ConfigError, RuleSetError
    from waybill.labelling.rules.loading import known_from
    from waybill.service.reading_rules import read_rules, rule_cache
    from waybill.settings.taxonomy import read_labels

    taxonomy = read_labels(settings.labels.path)
    known = known_from(rule_cache(settings))  # who tries a rule has compiled the others before
    try:
        return asyncio.run(read_rules(settings, taxonomy, known=known))
    except RuleSetError as error:
        raise ConfigError(error.problems) from None


def _test(given: argparse.Namespace) -> int:
    from waybill.cli.warnings import warn_of_rules

    settings = load_and_tell(given)
    rules = read_rules_or_fail(settings)
    warn_of_rules(rules.advice)
    _warn_of_corrections(settings, rules)
    samples = sum(rule.samples for rule in rules.rules)
    print(
        f"{len(rules.rules)} rules, {samples} samples: {_outcome(rules)} (version {rules.version})"
    )
    allowed = rules.allowed_for(cleaned(given.source), None)
    for message in map(cleaned, given.messages):
        note_file(
            message, "to read rules from its folder: --set 'rules.extra_paths=[\"{folder}\"]'"
        )
        rule = rules.first_match(message, allowed)
        found = f"{rule.label}  by {rule.id}" if rule else "no rule"
        print(f"{found}  <-  {message}")
    return 0


def _warn_of_corrections(settings: Settings, rules: RuleSet) -> None:
    """Say where rules would give another label than a correction. Raises ConfigError."""
    from waybill.core.errors import ConfigError, CorrectionsError
    from waybill.labelling.corrections.guard import hold_rules
    from waybill.service.loading import correction_source
    from waybill.settings.taxonomy import read_labels

    if settings.corrections.path is None:
        return
    try:
        table = correction_source(settings).load(read_labels(settings.labels.path))
    except CorrectionsError as error:
        problems = [f"corrections.path: {one}" for one in error.errors]
        raise ConfigError(problems) from None
    for contradiction in hold_rules(rules, table).contradictions[:_TOLD_CONTRADICTIONS]:
        tell(f"warning: {contradiction}")


def _outcome(rules: RuleSet) -> str:
    """What became of the samples: each matches its rule, but another one may decide it."""
    if not rules.taken_samples:
        return "all pass"
    return f"all match, but {rules.taken_samples} of them are decided by another rule"


def _read_rules(settings: Settings) -> RuleSet:
    """The configured rules, with a word when they are not the packaged ones."""
    from waybill.cli.warnings import warn_of_hidden

    rules = read_rules_or_fail(settings)
    warn_of_hidden(rules.advice)
    return rules


def _list(given: argparse.Namespace) -> int:
    rules = _read_rules(load_and_tell(given))
    for rule in rules.rules:
        shadow = "  (shadow)" if rule.mode == "shadow" else ""
        print(f"{rule.file}:{rule.line}  {rule.id}  {rule.label}{shadow}")
    for replaced in rules.replaced:
        print(replaced)
    return 0


def _coverage(given: argparse.Namespace) -> int:
    from waybill.core.errors import WaybillError
    from waybill.learn.coverage import cover, read_lines, show

    settings = load_and_tell(given)
    rules = _read_rules(settings)
    found = cover(rules, read_lines(given.files, settings.fields))
    if not found.lines:
        raise WaybillError(f"{', '.join(map(str, given.files))}: no message was found")
    print(show(found))
    return 0


def _suggest(given: argparse.Namespace) -> int:
    from waybill.learn.suggest import suggest

    asyncio.run(suggest(load_and_tell(given), given.at_least, given.messages, given.output))
    return 0


def _schema(given: argparse.Namespace) -> int:
    from waybill.labelling.rules.schema import json_schema
    from waybill.settings.taxonomy import read_labels

    labels = read_labels(load_and_tell(given).labels.path).names
    print(json.dumps(json_schema(labels), indent=2))
    return 0
