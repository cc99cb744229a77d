"""``waybill top``: what services say right now, live in a terminal."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import sys

from waybill.cli.parsing import Commands, add_command
from waybill.cli.patterns import add_address, asked_of, must_be_address, token_of

__all__ = ["add"]

_ROWS = 40


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "top",
        _run,
        "Watch what services say, what nobody could label first.",
        "waybill top 127.0.0.1:9880",
        has_settings=False,
    )
    add_address(parser)
    parser.add_argument(
        "--interval",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="between two looks (default: 2)",
    )
    parser.add_argument("--once", action="store_true", help="print one table and end")


def _run(given: argparse.Namespace) -> int:
    must_be_address(given)
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    has_library = importlib.util.find_spec("textual") is not None
    if is_terminal and has_library and not given.once:
        from waybill.cli.top_screen import watch

        return watch(given.address, token_of(given), max(0.2, given.interval), given.labelling)
    asyncio.run(_print_once(given))
    if is_terminal and not has_library:
        print("\nfor a table that moves: pip install 'waybill-sidecar[top]'")
    return 0


async def _print_once(given: argparse.Namespace) -> None:
    from waybill.cli.pattern_rows import need, print_patterns, rate_of
    from waybill.patterns.client import PatternClient

    async with PatternClient(given.address, token_of(given)) as client:
        answer = await client.page({"limit": str(_ROWS), **asked_of(given.labelling)})
    print_patterns(sorted(answer.patterns, key=lambda one: (need(one), -rate_of(one))))
