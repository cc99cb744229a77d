"""``waybill backtest`` and ``waybill rules diff``: which records would get another label."""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from waybill.cli.evidence import RECORDED, add_truth, corrections_of
from waybill.cli.exits import ExitCode
from waybill.cli.parsing import Commands, add_command, add_labelling_option, load_and_tell
from waybill.cli.terminal import tell

if TYPE_CHECKING:
    from waybill.learn.backtest.result import Backtest, Bounds
    from waybill.learn.backtest.sides import SideSpec

__all__ = ["add", "add_diff"]

_SIDE = "RULES[,MODEL]: a rule file or folder, and a bundle; or `current` and `none` (not any)"


def add(commands: Commands) -> None:
    """Declare ``waybill backtest``."""
    parser = add_command(
        commands,
        "backtest",
        _backtest,
        "Show which records would get another label from other rules or another model.",
        "waybill backtest --on patterns.ndjson --old current --new my-rules,models/2026-12",
    )
    parser.add_argument("--old", required=True, metavar="SIDE", help=_SIDE)
    parser.add_argument("--new", required=True, metavar="SIDE", help="as --old")
    _add_options(parser)


def add_diff(actions: Commands) -> None:
    """Declare ``waybill rules diff``."""
    parser = add_command(
        actions,
        "diff",
        _diff,
        "Show which records would get another label from NEW than from OLD rules.",
        "waybill rules diff current my-rules --on patterns.ndjson --max-flips 1%",
    )
    words = "a rule file, a folder of them, `current` (the settings') or `none` (not any rule)"
    parser.add_argument("old", metavar="OLD", help=words)
    parser.add_argument("new", metavar="NEW", help="as OLD")
    _add_options(parser)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--on",
        required=True,
        metavar="FILE|ADDRESS",
        help=RECORDED,
    )
    parser.add_argument(
        "--alone",
        action="store_true",
        help="the rules of each side are all there are: none of rules.path beside them",
    )
    add_truth(parser, "to measure both sides on")
    add_labelling_option(parser)
    _add_outputs(parser.add_argument_group("what is told, and what makes the exit code 1"))


def _add_outputs(told: argparse._ArgumentGroup) -> None:
    told.add_argument("--json", action="store_true", help="print everything as JSON")
    told.add_argument("--html", metavar="FILE", help="write a page without scripts as well")
    told.add_argument(
        "--limit", type=int, default=20, metavar="N", help="patterns in the table (default: 20)"
    )
    told.add_argument(
        "--max-flips", metavar="N|P%", help="records that may flip, or their share; 0 for none"
    )
    told.add_argument(
        "--no-contradictions",
        nargs="?",
        const="all",
        choices=("all", "new"),
        metavar="new",
        help="the new side may contradict no correction; new: none that the old side did not",
    )


def _backtest(given: argparse.Namespace) -> int:
    from waybill.learn.backtest.sides import parse_side

    return _run(given, parse_side(given.old), parse_side(given.new))


def _diff(given: argparse.Namespace) -> int:
    from waybill.learn.backtest.sides import SideSpec

    return _run(given, SideSpec(given.old), SideSpec(given.new))


def _run(given: argparse.Namespace, old: SideSpec, new: SideSpec) -> int:
    from waybill.learn.backtest.result import broken
    from waybill.learn.backtest.run import Plan, backtest

    bounds = _bounds(given)
    settings = load_and_tell(given)
    plan = Plan(
        given.on,
        old,
        new,
        is_alone=given.alone,
        corrections=corrections_of(given, settings),
        labelled=given.labels,
        labelling=given.labelling,
    )
    gc.freeze()  # what is there by now stays: the garbage collector need not look at it again
    found = backtest(plan, settings)
    _warn_of_unread(old, new)
    failures = broken(found, bounds)
    _write_report(given, found, failures)
    for sentence in failures:
        tell(f"waybill: {sentence}")
    return ExitCode.FAILED if failures else ExitCode.FINE


def _warn_of_unread(*sides: SideSpec) -> None:
    """Say which files of the sides' folders hold no rules in force, such as those of subfolders."""
    from waybill.cli.warnings import warn_of_rules
    from waybill.labelling.rules.unread import unread_files

    warn_of_rules(unread_files([Path(one.rules) for one in sides if Path(one.rules).is_dir()]))


def _write_report(given: argparse.Namespace, found: Backtest, failures: list[str]) -> None:
    import msgspec

    from waybill.core.output import writing
    from waybill.learn.backtest.page import to_html
    from waybill.learn.backtest.show import show

    if given.html is not None:
        with writing(given.html) as file:
            file.write(to_html(found, failures).encode())
    if given.json:
        text = msgspec.json.format(msgspec.json.encode(found), indent=2).decode()
        print(text)
    else:
        print(show(found, max(0, given.limit)))


def _bounds(given: argparse.Namespace) -> Bounds:
    """The bounds of the command line. Raises ConfigError."""
    from waybill.core.errors import ConfigError
    from waybill.learn.backtest.result import Bounds

    text = given.max_flips
    try:
        if text is None:
            return Bounds(contradictions=given.no_contradictions)
        number = float(text.removesuffix("%"))
        is_share = text.endswith("%")
        if not 0 <= number <= (100 if is_share else sys.maxsize) or (number % 1 and not is_share):
            raise ValueError
    except ValueError:
        detail = "expected a number of records, or a share such as 0.5%"
        raise ConfigError([f"--max-flips {text}: {detail}"]) from None
    if is_share:
        return Bounds(most_share=number / 100, contradictions=given.no_contradictions)
    return Bounds(most_flips=int(number), contradictions=given.no_contradictions)
