"""``waybill patterns``: what is said how often, as a table or as a file for other tools."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from waybill.cli.parsing import Commands, add_command, add_labelling_option
from waybill.cli.terminal import cleaned, tell
from waybill.core.errors import ConfigError

if TYPE_CHECKING:
    from waybill.core.pattern import Pattern

__all__ = [
    "add",
    "add_address",
    "add_token_option",
    "asked_of",
    "must_be_address",
    "token_of",
]

#: Patterns that are looked through for what a filter hides, as many as one page has.
_MOST = "1000"
_ADDRESS = "127.0.0.1:9880"


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "patterns",
        _run,
        "Show what services say, how often, and what nobody could label.",
        "waybill patterns --undecided 127.0.0.1:9880",
        has_settings=False,
    )
    add_address(parser)
    parser.add_argument("--undecided", action="store_true", help="only what nobody could decide")
    parser.add_argument("--label", help="only patterns with this label")
    parser.add_argument("--source", help="only patterns of this source")
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="only what was first met since: seconds ago (-3600 as --since=-3600), or "
        "2026-11-26T10:00:00Z",
    )
    parser.add_argument(
        "--limit", type=int, default=50, help="rows of the table, up to 1000 (default: 50)"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write all of them as NDJSON, for waybill rules diff and others; - is stdout",
    )


def add_address(parser: argparse.ArgumentParser) -> None:
    """Where to ask, with what token, and about which labelling."""
    parser.add_argument(
        "address",
        nargs="?",
        default=_ADDRESS,
        help=f"of the sidecar (default: {_ADDRESS}), such as sidecar:9880 or https://sidecar",
    )
    parser.add_argument("--to", metavar="ADDRESS", help="the same, as other commands take it")
    add_token_option(parser)
    add_labelling_option(parser)


def add_token_option(parser: argparse.ArgumentParser) -> None:
    """With what token to ask a sidecar."""
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="file with a token of the sidecar, such as its http.tokens_file",
    )


def must_be_address(given: argparse.Namespace) -> None:
    """Settle ``--to``. Raise ConfigError for a file: only who is running can be asked."""
    given.address = given.to or given.address
    if Path(given.address).exists():
        problem = (
            f"{given.address} is a file or folder; expected the address of a running sidecar, such "
            f"as {_ADDRESS}. What was saved is read by waybill rules diff --on, rules discover "
            "--from and backtest --on"
        )
        raise ConfigError([problem])


def token_of(given: argparse.Namespace) -> str:
    """The token of ``--token-file``; empty without. Raises ConfigError."""
    if given.token_file is None:
        return ""
    from waybill.ops.tokens import token_to_send
    from waybill.settings.secrets import read_content

    origin = f"--token-file {given.token_file}"
    return token_to_send(read_content(given.token_file, origin), origin, "all")


def asked_of(labelling: str) -> dict[str, str]:
    """The parameter for the labelling that is asked about; none for the first one (``""``)."""
    return {"labelling": cleaned(labelling)} if labelling else {}


def _run(given: argparse.Namespace) -> int:
    must_be_address(given)
    asked = {"limit": str(given.limit), **asked_of(given.labelling)}
    if given.undecided:
        asked["undecided"] = "1"
    for name in ("label", "source", "since"):
        value = getattr(given, name)
        if value is not None:
            asked[name] = cleaned(value)
    if given.output is not None:
        return asyncio.run(_save(given, asked))
    return asyncio.run(_show(given, asked))


async def _save(given: argparse.Namespace, asked: dict[str, str]) -> int:
    from waybill.core.output import writing
    from waybill.core.pattern import encode
    from waybill.patterns.client import PatternClient

    del asked["limit"]
    count = 0
    is_whole = True
    async with PatternClient(given.address, token_of(given)) as client:
        with writing(given.output) as file:
            async for answer in client.all(asked):
                is_whole = is_whole and answer.is_whole
                for pattern in answer.patterns:
                    file.write(encode(pattern))
                count += len(answer.patterns)
    if given.output != "-":
        print(f"{count:,} patterns written to {given.output}")
    _warn(is_whole=is_whole)
    return 0


async def _show(given: argparse.Namespace, asked: dict[str, str]) -> int:
    from waybill.cli.pattern_rows import print_patterns
    from waybill.patterns.client import PatternClient

    async with PatternClient(given.address, token_of(given)) as client:
        answer = await client.page(asked)
        others: Sequence[Pattern] = ()
        if given.undecided or not answer.patterns:
            # What a filter hides may be what was looked for: "no event" is Unclassified as well.
            others = (await client.page({"limit": _MOST, **asked_of(given.labelling)})).patterns
    print_patterns(answer.patterns)
    if not others and not answer.patterns:
        print("no pattern yet: records must come by first")
    elif not answer.patterns:
        print(f"none of the {len(others):,} patterns that come most often is such a one")
    elif answer.cursor:
        print("there are more: --limit, or -o FILE for all of them")
    if given.undecided:
        _tell_no_events(others)
    _warn(is_whole=answer.is_whole)
    return 0


def _tell_no_events(patterns: Iterable[Pattern]) -> None:
    """Say what is Unclassified and not undecided: the model, or a rule, says that no label fits."""
    found = [one for one in patterns if one.kind == "no_event"]
    if found:
        records = sum(one.count for one in found)
        label = found[0].verdicts[0].label
        print(
            f"no event (none_of_these), so not undecided: {len(found):,} of the patterns, "
            f"{records:,} records; --label {label} shows them"
        )


def _warn(*, is_whole: bool) -> None:
    if not is_whole:
        tell("waybill: a worker did not answer; its records are missing")
