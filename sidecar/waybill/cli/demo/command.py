"""``waybill demo``: what labels look like, without any setup."""

from __future__ import annotations

import argparse

from waybill.cli.parsing import Commands, add_command, load
from waybill.cli.serve import run_loop

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "demo",
        _run,
        "Play a bundled stream through a running sidecar and show the labels.",
        "waybill demo --once",
    )
    parser.add_argument(
        "--once", action="store_true", help="exit after the table instead of serving on"
    )


def _run(given: argparse.Namespace) -> int:
    from waybill.cli.demo.play import demo

    run_loop(demo(load(given), is_once=given.once))
    return 0
