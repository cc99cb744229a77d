"""What every process that serves sets for itself before it begins."""

from __future__ import annotations

from waybill.ops.memory import tune_allocator
from waybill.ops.turns import take_short_turns

__all__ = ["tune_process"]


def tune_process() -> None:
    """Fix the allocator's limits, and have threads take short turns."""
    tune_allocator()
    take_short_turns()
