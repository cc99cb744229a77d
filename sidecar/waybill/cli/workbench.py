"""``waybill workbench``: the pages on which people see, correct and change labels."""

from __future__ import annotations

import argparse

from waybill.cli.parsing import Commands, add_command, load

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Declare the command."""
    add_command(
        commands,
        "workbench",
        _run,
        "Serve the pages on which people see, correct and change labels.",
        "waybill workbench --set workbench.sidecars='[http://127.0.0.1:9880]'",
    )


def _run(given: argparse.Namespace) -> int:
    from waybill.cli.serve import run_loop
    from waybill.ops.logs import setup_logging
    from waybill.web.app import serve_workbench

    settings = load(given)
    setup_logging(settings.log.level)
    run_loop(serve_workbench(settings))
    return 0
