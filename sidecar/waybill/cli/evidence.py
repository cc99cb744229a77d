"""The inputs of tools: recorded messages or patterns, corrections, labelled lines."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from waybill.cli.terminal import tell

if TYPE_CHECKING:
    from waybill.settings.schema import Settings

__all__ = ["RECORDED", "add_truth", "corrections_of"]

#: What an option takes that wants to know what is logged; its metavar is `FILE|ADDRESS`.
RECORDED = "recorded messages (CSV, NDJSON, JSON, text) or patterns, or a sidecar's address"


def add_truth(parser: argparse.ArgumentParser, use: str) -> None:
    """``--corrections`` and ``--labels``; ``use`` says what the corrections are for."""
    parser.add_argument(
        "--corrections",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help=f"corrections (NDJSON, or a folder) {use}; may be repeated "
        "(default: corrections.path)",
    )
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="messages whose labels are right"
    )


def corrections_of(given: argparse.Namespace, settings: Settings) -> tuple[Path, ...]:
    """The files of ``--corrections``, else that of ``corrections.path``; none without both.

    That of the settings may not be there yet, unless a bound of the command is on it.
    """
    if given.corrections:
        return tuple(given.corrections)
    if settings.corrections.path is None:
        return ()
    path = Path(settings.corrections.path)
    if not path.exists() and getattr(given, "no_contradictions", None) is None:
        tell(f"waybill: no corrections yet: {path} (corrections.path) is made by the first one")
        return ()
    return (path,)
