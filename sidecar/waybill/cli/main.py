"""The ``waybill`` command: its commands, and nothing of what they do.

A command's module is imported at once and must be light; what it needs for its work it imports when
it is run, so that ``waybill serve`` carries nothing of the tools that train.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version

from waybill.cli import (
    backtest,
    check,
    correct,
    explain,
    label,
    labels,
    model,
    pack,
    patterns,
    rules,
    serve,
    top,
    workbench,
)
from waybill.cli.bench import command as bench
from waybill.cli.canary import command as canary
from waybill.cli.demo import command as demo
from waybill.cli.exits import guarded
from waybill.cli.parsing import Help, Parser, print_help
from waybill.cli.terminal import cleaned, soften_streams
from waybill.core.near import meant

__all__ = ["main", "make_parser", "run"]

#: In the order in which the help lists them.
_COMMANDS = (
    serve,
    workbench,
    demo,
    check,
    label,
    explain,
    top,
    patterns,
    correct,
    rules,
    backtest,
    model,
    labels,
    pack,
    canary,
    bench,
)

_EPILOG = """\
'waybill COMMAND --help' explains a command and shows an example.

exit codes: 0 all is well; 1 it failed, or a check found something; 2 wrong options, settings,
rules or model; 130 interrupted"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code (`waybill.cli.exits.ExitCode`)."""
    soften_streams()
    return guarded(lambda: run(argv))


def run(argv: Sequence[str] | None = None) -> int:
    """Run a command; gives its exit code. Raises what the command raises."""
    words = list(sys.argv[1:] if argv is None else argv)
    given = _parsed(words)
    given.command_line = " ".join(("waybill", *map(cleaned, words)))
    # One text is too little to share: a second thread of numpy's would do nothing but spin, and at
    # a steady trickle of new messages it spins without end on a core of its own. Matrices of a
    # training are small as well: one of the tests takes 28 s of processor time with two threads
    # and 8 s with one. Read when numpy is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    return int(given.run(given))


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """The options of a command line; what no command takes ends with what to write instead."""
    parser = make_parser()
    if words and words[0].partition("=")[0] in ("--config", "--set"):
        parser.error(f"{words[0]} stands behind the command: waybill COMMAND {words[0]} ...")
    given, strange = parser.parse_known_args(words)
    if strange:
        told = f"unrecognized arguments: {' '.join(map(cleaned, strange))}{_hint(strange, given)}"
        parser.error(f"{told}; 'waybill {cleaned(words[0])} --help' says what there is")
    return given


def _hint(strange: Sequence[str], given: argparse.Namespace) -> str:
    """What to write instead of words that a command does not take, where that can be told."""
    files = [word for word in strange if not word.startswith("-")]
    options = [word.partition("=")[0] for word in strange if word.startswith("--")]
    takes_settings = hasattr(given, "config")
    if options:
        near = meant(options[0], re.findall(r"--[\w-]+", given.help()))
        if not near and takes_settings:
            return "; a setting is given by --set KEY=VALUE"
        return near
    if files and takes_settings and files[0].endswith((".yaml", ".yml")):
        return f"; a file of settings is given by --config {files[0]}"
    if files and hasattr(given, "input"):
        return "; it takes one file at a time"
    return ""


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = Parser(
        prog="waybill",
        description="The labelling sidecar for log shippers.",
        epilog=_EPILOG,
        formatter_class=Help,
    )
    parser.add_argument("--version", action="version", version=f"waybill {_version()}")
    parser.set_defaults(run=lambda _: print_help(parser), help=parser.format_help)
    commands = parser.add_subparsers(metavar="COMMAND")
    for module in _COMMANDS:
        module.add(commands)
    return parser


def _version() -> str:
    return version("waybill-sidecar")


if __name__ == "__main__":
    sys.exit(main())
