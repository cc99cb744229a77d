"""Waybill: the labelling sidecar for log shippers.

As a library it labels without a server:

    >>> from sidecar import classify
    >>> classify([("ModernCRM", "User User123 logged in.")])
    [('ModernCRM', 'User User123 logged in.', 'User Action', 1.0)]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["classify"]


def classify(
    records: Iterable[tuple[str, str]], config: Path | None = None, overrides: Sequence[str] = ()
) -> list[tuple[str, str, str, float | None]]:
    """Label ``(source, message)`` pairs; gives ``(source, message, label, confidence)`` in the same order.

    Rules and model are loaded on the first call and kept for later ones with the same ``config`` file
    and ``overrides`` (``dotted.key=value``). The confidence is None where nothing was estimated.
    Safe to call from several threads and from within a running event loop (it blocks it meanwhile).

    Raises:
        waybill.core.errors.ConfigError: when settings, rules or model cannot be used.
    """
    from waybill.library import labeller  # the service never needs it, and the import is not cheap

    return labeller(config, tuple(overrides)).classify(list(records))
