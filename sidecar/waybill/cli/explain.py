"""``waybill explain``: why one message gets its label."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import TYPE_CHECKING

from waybill.cli.parsing import Commands, add_command, load
from waybill.cli.terminal import cleaned, read_stdin

if TYPE_CHECKING:
    from waybill.settings.schema import Settings

__all__ = ["add", "explain_one"]


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "explain",
        _run,
        "Show why one message gets its label, and what can be done about it.",
        "waybill explain 'User User42 logged in.' --source ModernCRM",
    )
    parser.add_argument("message", help="the message, or - for stdin")
    parser.add_argument("--source", default="", help="the record's source")
    parser.add_argument("--json", action="store_true", help="print every figure as JSON")


def _run(given: argparse.Namespace) -> int:
    from waybill.cli.explanation import show

    message = cleaned(given.message)
    if message == "-":
        message = read_stdin().rstrip("\r\n")
    found = asyncio.run(explain_one(load(given), cleaned(given.source), message))
    if given.json:
        print(json.dumps(found, indent=2))  # escapes: whatever the terminal can show
    else:
        print(show(found))
    return 0


async def explain_one(settings: Settings, source: str, message: str) -> dict[str, object]:
    """`explain` with a pipeline of its own. Raises ConfigError."""
    from waybill.cli.warnings import warn_of_hidden
    from waybill.core.version import VERSION
    from waybill.labelling.explain import explain
    from waybill.ops.metrics import Metrics
    from waybill.service.opening import open_pipeline

    async with open_pipeline(settings, Metrics(VERSION)) as (pipeline, model, _):
        warn_of_hidden(pipeline.rules.advice)
        found = await explain(pipeline, model, source, message)
        told = found.get("model")
        if model is not None and isinstance(told, dict):
            thresholds = model.bundle.manifest.thresholds
            least = settings.model.threshold
            if least is None:
                least = thresholds.confidence
            told["farthest_known"] = thresholds.distance
            told["least_confidence"] = least
        return found
