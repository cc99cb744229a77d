"""Masks, worked out once for all labellings that ask.

Masking costs some 25 µs a message (corpus lines, one core). One labelling asks once for each text;
with several, the second finds what the first has worked out. Texts are shared by the batch
(`waybill.labelling.texts`): looking each one up would cost as much as preparing it.
"""

from __future__ import annotations

from waybill.labelling.masking import mask
from waybill.labelling.memo import BoundedMap


class SharedMasks:
    """The masks of the texts of late, in about ``limit_bytes``; call it as `masking.mask`."""

    def __init__(self, limit_bytes: int) -> None:
        # A mask is about as long as its text, which is what the map counts.
        self._masks: BoundedMap[str] = BoundedMap(limit_bytes // 2)

    def __call__(self, text: str) -> str:
        """The mask of ``text``."""
        masked = self._masks.get(text)
        if masked is None:
            masked = mask(text)
            self._masks.put(text, masked)
        return masked
