"""Patterns as sidecars keep them."""

from __future__ import annotations

import msgspec

from waybill.core.pattern import Pattern, VerdictShare, pattern_id
from waybill.labelling.masking import mask

__all__ = ["stored"]


def stored(message: str, label: str, count: int, tier: str = "model") -> Pattern:
    masked = mask(message)
    share = msgspec.convert({"label": label, "tier": tier, "count": count}, VerdictShare)
    return Pattern(id=pattern_id(masked), mask=masked, count=count, verdicts=(share,))
