"""What comes out of labelling: one verdict per record (see `waybill.core.batch` for the records)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from waybill.core.names import DecidedBy
from waybill.core.reasons import Reason

UNCLASSIFIED = "Unclassified"

#: The closed label set, in the order in which it is documented; the first that fits wins.
LABELS: tuple[str, ...] = (
    "Security Alert",
    "HTTP Status",
    "Critical Error",
    "Resource Usage",
    "Deprecation Warning",
    "Workflow Error",
    "User Action",
    "Error",
    "System Notification",
    UNCLASSIFIED,
)


class Verdict(msgspec.Struct, eq=False, gc=False, dict=False):
    """What was decided about one record, and by whom. Treat as immutable; hashed by identity.

    ``confidence`` is a probability in [0, 1] (a rule is certain: 1.0), None when nothing was
    estimated. ``rule`` is the rule's id, or ``<bundle>@<version>`` of the model. ``reason`` is a
    bounded code, set when the label is ``Unclassified``. ``fields`` are extra fields that the rule
    adds to the record.
    """

    label: str
    tier: DecidedBy
    confidence: float | None = None
    rule: str | None = None
    reason: Reason | None = None
    fields: Mapping[str, object] | None = None


def unclassified(
    reason: Reason,
    tier: DecidedBy = "none",
    *,
    confidence: float | None = None,
    rule: str | None = None,
) -> Verdict:
    """A verdict that says: we do not know, and why."""
    return Verdict(UNCLASSIFIED, tier, confidence, rule, reason)
