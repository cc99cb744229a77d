"""Commands and flags that the documentation names exist, and every command is on its page."""

from __future__ import annotations

import argparse
import contextlib
import io
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT, blocks
from waybill.cli.main import main, make_parser

GROUPS = {"rules", "model", "labels", "pack"}
_COMMAND = re.compile(r"(?:^|[|;&(] *)waybill ([a-z]+)((?: [a-z]+)?)\b([^`\n]*)")


def named() -> Iterator[tuple[Path, str]]:
    """Command lines in shell blocks and in inline code."""
    for page in PAGES:
        text = page.read_text()
        for block in blocks(page):
            if block.language == "sh":
                for line in block.text.splitlines():
                    yield page, line.partition("#")[0]
        for code in re.findall(r"`([^`\n]+)`", text):
            yield page, code


@cache
def help_of(*command: str) -> str | None:
    """The help of a command, None when there is no such command."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            code = main([*command, "--help"])
        except SystemExit as end:
            code = int(end.code or 0)
    return out.getvalue() if code == 0 else None


def subcommands(*command: str) -> list[str]:
    """The commands that the help of ``command`` lists."""
    text = help_of(*command) or ""
    return re.findall(r"^    ([a-z]+)(?:\s{2,}|$)", text, re.MULTILINE)


def commands() -> list[str]:
    found = []
    for name in subcommands():
        if name in GROUPS:
            found += [f"{name} {action}" for action in subcommands(name)]
        else:
            found.append(name)
    return found


def test_commands_that_are_named_exist() -> None:
    for page, line in named():
        for name, action, rest in _COMMAND.findall(line):
            command = (name, action.strip()) if name in GROUPS and action else (name,)
            text = help_of(*command)
            assert text is not None, f"{page.name}: waybill {' '.join(command)}"
            if name in GROUPS and not action:
                continue
            for flag in re.findall(r"(?<!\S)(--[a-z][a-z-]+)", rest.partition("|")[0]):
                assert flag in text, f"{page.name}: waybill {' '.join(command)} {flag}"


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """``parser`` and those of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name in action.choices:
                yield from parsers(action.choices[name])


def test_every_argument_says_what_it_is() -> None:
    for parser in parsers(make_parser()):
        for action in parser._actions:
            if not isinstance(action, argparse._SubParsersAction):
                assert action.help, f"{parser.prog} {action.dest}"


@pytest.mark.parametrize("command", commands())
def test_the_page_has_every_command(command: str) -> None:
    assert f"| `waybill {command}` |" in (ROOT / "docs/commands.md").read_text()


def test_the_page_has_no_other_command() -> None:
    page = (ROOT / "docs/commands.md").read_text()
    assert set(re.findall(r"^\| `waybill ([a-z ]+)` \|", page, re.MULTILINE)) == set(commands())


def test_what_writes_a_file_is_told_where_alike() -> None:
    for parser in parsers(make_parser()):
        for action in parser._actions:
            if "--output" in action.option_strings:
                assert "-o" in action.option_strings, parser.prog


def test_help_names_values_by_their_kind_and_commands_on_their_line() -> None:
    text = make_parser().format_help()
    assert re.search(r"^ +workbench +Serve", text, re.MULTILINE)
    assert "exit codes: 0" in text
    for parser in parsers(make_parser()):
        for action in parser._actions:
            if action.option_strings and action.nargs != 0 and "_" in action.dest:
                assert action.dest.upper() not in parser.format_help(), action.dest
