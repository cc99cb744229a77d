"""How commands are declared: a sentence, an example, and the options that many of them share."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from waybill.cli.terminal import tell
from waybill.core.errors import WaybillError
from waybill.core.near import meant

if TYPE_CHECKING:
    from waybill.core.labels import Taxonomy
    from waybill.settings.schema import Settings

__all__ = [
    "Commands",
    "Help",
    "Parser",
    "add_command",
    "add_group",
    "add_labelling_option",
    "add_labels_option",
    "labels_file",
    "load",
    "load_and_tell",
    "load_labels",
    "needs_extra",
    "same_settings",
    "settings_options",
]

#: What commands are added to; argparse has no public name for it.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001
#: Runs a command with its parsed options; gives the exit code.
Run = Callable[[argparse.Namespace], int]
#: How argparse says that a word is none of those that there are.
_NO_CHOICE = re.compile(r"invalid choice: '(?P<word>.*)' \(choose from (?P<known>.*)\)", re.DOTALL)


class Help(argparse.RawDescriptionHelpFormatter):
    """Help that names values by their kind, and leaves room for the names of commands."""

    def add_argument(self, action: argparse.Action) -> None:
        """Count the indent of commands, too, which argparse forgets."""
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - no public name
            self._action_max_length += self._indent_increment

    def _get_default_metavar_for_optional(self, action: argparse.Action) -> str:
        word = action.dest.rpartition("_")[2].upper()
        if word in ("SHARE", "SECS"):
            return word.replace("SECS", "SECONDS")
        if action.type in (int, float):
            return "N"
        return "PATH" if action.type is Path else word


class Parser(argparse.ArgumentParser):
    """A parser that says what somebody may have meant; its commands' parsers are such ones."""

    def error(self, message: str) -> NoReturn:
        """End with usage and ``message``, and the nearest known word where one is unknown."""
        found = _NO_CHOICE.search(message)
        if found is not None:
            message += meant(found["word"], re.findall(r"[^\s',]+", found["known"]))
        super().error(message)


def settings_options() -> argparse.ArgumentParser:
    """``--config`` and ``--set``, as a parent of the commands that read settings."""
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument(
        "--config", type=Path, metavar="FILE", help="settings file (default: built-in defaults)"
    )
    parent.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override one setting; may be repeated",
    )
    return parent


def load(given: argparse.Namespace) -> Settings:
    """The settings that ``--config`` and ``--set`` name, or those of ``--labelling`` alone.

    Raises ConfigError.
    """
    from waybill.settings.labellings import one_labelling
    from waybill.settings.sources import load_settings

    settings = load_settings(given.config, given.overrides)
    name = getattr(given, "labelling", "")
    return one_labelling(settings, name) if name else settings


def load_and_tell(given: argparse.Namespace) -> Settings:
    """`load`, and a line on stderr that says which file that was."""
    from waybill.settings.sources import said_of

    settings = load(given)
    said = said_of(given.config)
    if said:
        tell(f"waybill: {said}")
    return settings


def same_settings(given: argparse.Namespace) -> str:
    """``--config`` and ``--set`` as they were given, for a command that is to be typed next."""
    words = [] if given.config is None else ["--config", str(given.config)]
    for override in given.overrides:
        words += ["--set", override]
    return "".join(f" {shlex.quote(word)}" for word in words)


def add_labelling_option(parser: argparse._ActionsContainer) -> None:
    """``--labelling``, for tools that look at one of several."""
    parser.add_argument(
        "--labelling",
        default="",
        metavar="NAME",
        help="one of the setting `labellings` (default: the first labelling)",
    )


def add_seed_option(parser: argparse._ActionsContainer) -> None:
    """``--seed``, for tools that draw lots."""
    parser.add_argument(
        "--seed", type=int, default=42, help="of every choice by chance (default: 42)"
    )


def add_labels_option(parser: argparse._ActionsContainer) -> None:
    """``--labels``, for tools whose labels need not be those of the settings."""
    parser.add_argument(
        "--labels", metavar="FILE", help="file of the labels (default: the setting labels.path)"
    )


def load_labels(given: argparse.Namespace) -> Taxonomy:
    """The labels of ``--labels``, or of the settings. Raises ConfigError."""
    from waybill.settings.taxonomy import read_labels

    return read_labels(labels_file(given))


def labels_file(given: argparse.Namespace) -> str:
    """The file that ``--labels`` names, or the settings. Raises ConfigError."""
    return str(given.labels or load(given).labels.path)


def add_command(
    commands: Commands,
    name: str,
    run: Run,
    summary: str,
    example: str,
    *,
    has_settings: bool = True,
) -> argparse.ArgumentParser:
    """Declare a command."""
    parents = [settings_options()] if has_settings else []
    parser = commands.add_parser(
        name,
        parents=parents,
        help=summary,
        description=summary,
        epilog=f"example:\n  {example}",
        formatter_class=Help,
    )
    parser.set_defaults(run=run, help=parser.format_help)
    return parser


def add_group(commands: Commands, name: str, summary: str) -> Commands:
    """Declare a group of commands; alone it prints its help."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=f"'waybill {name} ACTION --help' explains an action and shows an example.",
        formatter_class=Help,
    )
    parser.set_defaults(run=lambda _: print_help(parser), help=parser.format_help)
    return parser.add_subparsers(metavar="ACTION")


def print_help(parser: argparse.ArgumentParser) -> int:
    """Print the help of a parser that got no command."""
    parser.print_help()
    return 2


#: What the small extra brings: whoever misses one of these need not install torch.
_OF_RETRAIN = frozenset({"joblib", "onnx", "scipy", "skl2onnx", "sklearn"})


def needs_extra(extra: str, run: Run) -> Run:
    """``run``, with a library that is missing named by the extra that brings it."""

    def guarded(given: argparse.Namespace) -> int:
        try:
            return run(given)
        except ModuleNotFoundError as error:
            is_small = str(error.name).partition(".")[0] in _OF_RETRAIN
            brings = "retrain" if is_small else extra
            raise WaybillError(
                f"{error.name} is missing; install it with: pip install 'waybill-sidecar[{brings}]'"
            ) from None

    return guarded
