"""What a correction must be, whatever file or person it comes from."""

from __future__ import annotations

from waybill.core.batch import MAX_SOURCE_CHARS
from waybill.core.correction import ANY_SOURCE, Correction, moment
from waybill.core.prepare import prepare
from waybill.core.reasons import CorrectionCode
from waybill.labelling.masking import MASK_CHARS, shape

__all__ = ["fault_of", "mask_fault", "source_fault"]

_MAX_ID_CHARS = 64
_SHOWN_CHARS = 60


def fault_of(one: Correction) -> tuple[CorrectionCode, str] | None:
    """What is wrong with a correction, but for its label; None when nothing is."""
    if not one.id or len(one.id) > _MAX_ID_CHARS or not one.id.isprintable():
        return "not_a_correction", f"id: expected at most {_MAX_ID_CHARS} printable characters"
    why = mask_fault(one.mask)
    if why:
        return "mask", why
    why = source_fault(one.source)
    if why:
        return "source", why
    try:
        moment(one.at)
    except ValueError as error:
        shown = one.at[:_SHOWN_CHARS]
        return (
            "time",
            f"at: {shown!r} is not an RFC 3339 time such as 2026-11-26T10:00:00Z: {error}",
        )
    return None


def mask_fault(mask: str) -> str:
    """Why no message has this mask; empty where one may."""
    is_mask = 0 < len(mask) <= MASK_CHARS and shape(mask) == mask
    if is_mask and _is_plain(mask):
        return ""
    shown = repr(mask[:_SHOWN_CHARS])
    if not mask or mask != mask.strip():
        return f"mask: {shown} is blank, or has blanks around it; expected a masked message"
    if len(mask) > MASK_CHARS:
        return f"mask: longer than the {MASK_CHARS} characters that a mask has"
    if not _is_plain(mask):
        return f"mask: {shown} holds line ends or control characters; no mask does"
    return (
        f"mask: {shown} is a message, no mask: in a mask every number is 0; waybill explain shows "
        "it as 'read as'"
    )


def source_fault(source: str) -> str:
    """Why no record has this source, or none that can be told from others; empty where one may."""
    if source == ANY_SOURCE:
        return ""
    shown = repr(source[:_SHOWN_CHARS])
    if len(source) > MAX_SOURCE_CHARS:
        return f"source: longer than {MAX_SOURCE_CHARS} characters"
    if source and not source.isprintable():
        return f"source: {shown} holds characters that cannot be seen"
    if "*" in source or "?" in source:
        return f"source: {shown} is a pattern; expected one source in full, or * for all of them"
    return ""


def _is_plain(mask: str) -> bool:
    """Whether nothing is in it that preparing and masking takes out of every message."""
    # Two blanks stand where a JSON string has two line ends, or an empty message.
    is_folded = all(char == " " for char in filter(str.isspace, mask))
    return is_folded and prepare(mask) == mask
