"""``waybill serve``: the service."""

from __future__ import annotations

import argparse
import asyncio
import errno
import logging
import os
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

from waybill.cli.parsing import Commands, add_command, load

if TYPE_CHECKING:
    from waybill.settings.schema import Settings

__all__ = ["add", "run_loop"]

log = logging.getLogger(__name__)


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
    from waybill.settings.written import cut_texts

    settings = load(given)
    setup_logging(settings.log.level)
    for doubt in cut_texts(settings, given.config):
        log.warning("a text in a file seems to be cut", extra={"detail": doubt})
    if settings.http.workers > 1:
        from waybill.service.workers import serve_workers

        return serve_workers(settings, run_loop)
    _check_addresses(settings)
    run_loop(_serve(settings))
    return 0


def _check_addresses(settings: Settings) -> None:
    """Say that an address is taken before anything is loaded. Raises ConfigError."""
    from waybill.core.errors import ConfigError
    from waybill.settings.addresses import cannot_listen, is_taken

    in_use = OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    listened = {"http.listen": settings.http.listen, "forward.listen": settings.forward.listen}
    problems = [
        cannot_listen(path, address, in_use)
        for path, address in listened.items()
        if address and is_taken(address)
    ]
    if problems:
        raise ConfigError(problems)


async def _serve(settings: Settings) -> None:
    """`waybill.service.app.serve`, imported while a child process compiles the rules: together
    they take most of the time of a start. Raises ConfigError.
    """
    from waybill.service.reading_rules import compile_ahead

    ahead = asyncio.create_task(compile_ahead(settings))
    serve = await asyncio.to_thread(_import_serve)
    await serve(settings)
    await ahead


def _import_serve() -> Callable[[Settings], Coroutine[object, object, None]]:
    from waybill.service.app import serve

    return serve


def run_loop(work: Coroutine[object, object, object]) -> None:
    """Run on uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)
