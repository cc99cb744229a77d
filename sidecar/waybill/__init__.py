"""Waybill: the labelling sidecar for log shippers.

As a library it labels without a server:

    >>> from waybill import classify
    >>> classify([("ModernCRM", "User User123 logged in.")])
    [('ModernCRM', 'User User123 logged in.', 'User Action', 1.0)]
    >>> classify([{"source": "ModernCRM", "log_message": "User User123 logged in."}])
    [('ModernCRM', 'User User123 logged in.', 'User Action', 1.0)]
"""

from __future__ import annotations

import os

# Neither typing nor pathlib: who interrupts a command while they are loaded gets a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from waybill.library import Classified, Record

__all__ = ["classify", "classify_records"]

# Libraries that tell their makers of their use, unless the environment asks them not to when they
# are loaded: onnxruntime also writes an id of this machine into the cache folder. Nothing leaves a
# node but what its settings name.
for _name in ("DO_NOT_TRACK", "HF_HUB_DISABLE_TELEMETRY", "ORT_DISABLE_TELEMETRY"):
    os.environ.setdefault(_name, "1")


def classify(
    records: Iterable[Record], config: Path | str | None = None, overrides: Sequence[str] = ()
) -> list[tuple[str, str, str, float | None]]:
    """Label records; gives ``(source, message, label, confidence)`` in the same order.

    A record is a pair ``(source, message)``, or a mapping in which both stand where the settings
    ``fields.message`` and ``fields.source`` say (by default ``log``, ``message``, ``log_message``,
    ... and ``source``, ``service``, ...). The confidence is None where nothing was estimated. Rules
    and model are loaded on the first call and kept for later ones with the same ``config`` file and
    ``overrides`` (``dotted.key=value``). Safe to call from several threads, in processes that are
    forked and from within a running event loop (it blocks it meanwhile).

    Raises:
        TypeError: a record is neither, or a mapping without a message; ``overrides`` is one text.
        waybill.core.errors.ConfigError: when settings, rules or model cannot be used.
    """
    found = classify_records(records, config, overrides)
    return [(one.source, one.message, one.label, one.confidence) for one in found]


def classify_records(
    records: Iterable[Record], config: Path | str | None = None, overrides: Sequence[str] = ()
) -> list[Classified]:
    """As `classify`, and each answer also says which tier decided, by which rule or model, and why
    not.

    >>> (found,) = classify_records([("ModernCRM", "User User123 logged in.")])
    >>> found.tier, found.rule, found.reason
    ('rule', 'user-login-logout', None)
    """
    from pathlib import Path

    from waybill.library import labeller  # the service never needs it, and the import is not cheap

    if isinstance(overrides, str):
        raise TypeError(f"overrides is one text; write overrides=[{overrides!r}]")
    file = Path(config) if config is not None else None
    return labeller(file, tuple(overrides)).classify(records)
