"""One measure of the benchmark and its bar."""

from __future__ import annotations

import msgspec

__all__ = ["Result", "at_least", "at_most"]


class Result(msgspec.Struct):
    """One measure: a value, its bar, and whether it is met (None: not measured)."""

    measure: str
    value: float | None
    unit: str
    bar: str
    is_met: bool | None
    detail: str = ""


def at_most(measure: str, value: float, unit: str, bar: float, detail: str = "") -> Result:
    """A measure that must not exceed ``bar``."""
    return Result(measure, value, unit, f"<= {bar:g}", value <= bar, detail)


def at_least(measure: str, value: float | None, unit: str, bar: float, detail: str = "") -> Result:
    """A measure that must reach ``bar``; None was not measured."""
    is_met = None
    if value is not None:
        is_met = value >= bar
    return Result(measure, value, unit, f">= {bar:g}", is_met, detail)
