"""Corrections for tests."""

from __future__ import annotations

from waybill.core.correction import Correction, new_correction
from waybill.labelling.masking import mask

__all__ = ["said"]


def said(message: str, label: str, source: str = "*") -> Correction:
    """What somebody said of ``message``."""
    return new_correction(mask(message), label, source=source)
