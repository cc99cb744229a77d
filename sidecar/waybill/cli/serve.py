"""``waybill serve``: the service."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Coroutine

from waybill.cli.parsing import Commands, add_command, load

__all__ = ["add", "run_loop"]


def add(commands: Commands) -> None:
    """Declare the command."""
    add_command(
        commands,
        "serve",
        _run,
        "Receive batches, label them, hand them back.",
        "waybill serve --set http.listen=127.0.0.1:9880",
    )


def _run(given: argparse.Namespace) -> int:
    from waybill.ops.logs import setup_logging
    from waybill.service.app import serve

    settings = load(given)
    setup_logging(settings.log.level)
    if settings.http.workers > 1:
        from waybill.service.workers import serve_workers

        return serve_workers(settings, run_loop)
    run_loop(serve(settings))
    return 0


def run_loop(work: Coroutine[object, object, object]) -> None:
    """Run on uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)
