"""What commands say about rules that are in force and doubtful, on stderr."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from waybill.cli.terminal import tell

if TYPE_CHECKING:
    from waybill.labelling.rules.artefact import Advice

__all__ = ["warn_of_hidden", "warn_of_rules"]


def warn_of_rules(advice: Iterable[Advice]) -> None:
    """Say all of it."""
    for one in advice:
        tell(f"warning: {one}")


def warn_of_hidden(advice: Iterable[Advice]) -> None:
    """Say only that other rules are used than the packaged ones, whatever the command is about."""
    warn_of_rules(one for one in advice if one.code == "packaged_rules_hidden")
