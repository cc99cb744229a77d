"""Telemetry: the doubles know every call, and the real one exports every figure."""

from __future__ import annotations

import inspect

from waybill.core.names import MemoLevel, ModelOutcome, words
from waybill.labelling.telemetry import Recording, Silent, Telemetry
from waybill.ops.metrics import Metrics

CALLS = [name for name in vars(Telemetry) if not name.startswith("_")]


def test_every_telemetry_knows_every_call_with_the_same_arguments() -> None:
    assert len(CALLS) >= 13
    for name in CALLS:
        expected = list(inspect.signature(getattr(Telemetry, name)).parameters)
        for kind in (Silent, Recording, Metrics):
            assert list(inspect.signature(getattr(kind, name)).parameters) == expected, (kind, name)


def test_what_the_model_tier_does_is_exported() -> None:
    metrics = Metrics("0")
    for number, outcome in enumerate(words(ModelOutcome), 1):
        metrics.model_answered(outcome, number)  # type: ignore[arg-type]
    metrics.model_batch_took(0.25)
    metrics.model_queued(7)
    text = metrics.render("")[0].decode()
    for number, outcome in enumerate(words(ModelOutcome), 1):
        assert f'waybill_model_messages_total{{outcome="{outcome}"}} {number}.0' in text
    assert "waybill_model_batch_duration_seconds_count 1.0" in text
    assert "waybill_model_queued_messages 7.0" in text


def test_every_level_of_the_memo_is_exported_by_its_name() -> None:
    metrics = Metrics("0")
    assert words(MemoLevel) == ("exact", "shape", "mask", "corrections", "rules", "none")
    for level in words(MemoLevel):
        metrics.memo_answered(level, 2)  # type: ignore[arg-type]
        metrics.memo_answered(level, 0)  # type: ignore[arg-type]
    text = metrics.render("")[0].decode()
    for level in words(MemoLevel):
        assert f'waybill_memo_lookups_total{{level="{level}"}} 2.0' in text
