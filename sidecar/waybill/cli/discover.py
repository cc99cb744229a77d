"""``waybill rules discover``: rules for what is logged often."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from waybill.cli.evidence import RECORDED, add_truth, corrections_of
from waybill.cli.parsing import (
    Commands,
    add_command,
    add_labelling_option,
    load_and_tell,
    needs_extra,
)

__all__ = ["add"]


def add(actions: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        actions,
        "discover",
        needs_extra("train", _discover),
        "Propose rules for what is logged often, in shadow mode, with samples and their share.",
        "waybill rules discover --from patterns.ndjson -o proposed.yaml",
    )
    parser.add_argument(
        "--from",
        dest="origin",
        metavar="FILE|ADDRESS",
        help=f"{RECORDED}; with --by llm it may be left out",
    )
    parser.add_argument(
        "--by",
        choices=("clusters", "llm"),
        default="clusters",
        help="clusters: messages that mean the same (default); llm: what the LLM has judged alike",
    )
    add_truth(parser, "whose labels come first")
    add_labelling_option(parser)
    _add_limits(parser)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--at-least", type=int, default=5, metavar="N", help="records for a rule (default: 5)"
    )
    parser.add_argument(
        "--most-masks",
        type=int,
        default=5_000,
        metavar="N",
        help="masks that the model reads, each with all that read like it (default: 5000)",
    )
    parser.add_argument(
        "--mode", choices=("shadow", "enforce"), default="shadow", help="default: shadow"
    )
    parser.add_argument(
        "--uncovered",
        action="store_true",
        help="leave out what rules in force decide already",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="default: stdout")


def _discover(given: argparse.Namespace) -> int:
    from waybill.core.errors import ConfigError

    for name in ("at_least", "most_masks"):
        if getattr(given, name) < 1:
            option = name.replace("_", "-")
            raise ConfigError([f"--{option} {getattr(given, name)}: expected 1 or more"])
    if given.by == "llm":
        return _by_llm(given)
    if given.origin is None:
        raise ConfigError(["--from is missing: recorded messages, patterns, or an address"])
    return _by_clusters(given)


def _by_clusters(given: argparse.Namespace) -> int:
    from waybill.learn.discover.run import DiscoverPlan, discover, write_discovered

    settings = load_and_tell(given)
    plan = DiscoverPlan(
        given.origin,
        corrections_of(given, settings),
        given.labels,
        at_least=given.at_least,
        most_masks=given.most_masks,
        mode=given.mode,
        is_uncovered_only=given.uncovered,
        labelling=given.labelling,
    )
    write_discovered(discover(plan, settings), given.output, plan.at_least)
    return 0


def _by_llm(given: argparse.Namespace) -> int:
    from waybill.learn.suggest import suggest

    recorded = None if given.origin is None else Path(given.origin)
    output = None if given.output is None else Path(given.output)
    asyncio.run(suggest(load_and_tell(given), given.at_least, recorded, output, given.mode))
    return 0
