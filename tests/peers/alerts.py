"""For each alert, series under which it fires and series under which it stays quiet.

Series are written as promtool reads them (``start+stepxcount``, one value a minute).
"""

from __future__ import annotations

import msgspec

#: A series name and its values.
Series = tuple[str, str]


class Case(msgspec.Struct, frozen=True):
    """``firing`` makes the alert fire at ``minute``, and so does ``either``, ``quiet`` does not;
    ``labels`` are those of the series that the alert keeps.
    """

    firing: tuple[Series, ...]
    quiet: tuple[Series, ...]
    minute: int
    labels: dict[str, str]
    either: tuple[Series, ...] = ()


NODE = {"instance": "n"}


def counter(name: str, labels: str, step: float, minutes: int = 60) -> Series:
    """A counter that stands at 0 first: one without labels is born with its process."""
    return f'{name}{{instance="n"{labels}}}', f"0x5 0+{step}x{minutes}"


def first(name: str, labels: str) -> Series:
    """A counter that is seen for the first time when it counts, and then stands still."""
    return f'{name}{{instance="n"{labels}}}', "_x5 1x60"


def gauge(name: str, labels: str, value: float, minutes: int = 60) -> Series:
    """A gauge that does not move."""
    return f'{name}{{instance="n"{labels}}}', f"{value}x{minutes}"


def labelled(label: str, calm: int, burst: int) -> tuple[Series, ...]:
    """Two hours of ``calm`` records a minute, then 20 minutes of ``burst``."""
    name = f'waybill_records_labelled_total{{instance="n",label="{label}"}}'
    return ((name, f"0+{calm}x120 {calm * 120}+{burst}x20"),)


def slow_batches(last: int) -> tuple[Series, ...]:
    """100 batches a minute, ``last`` of them beyond the largest bound that is calm."""
    name = 'waybill_batch_duration_seconds_bucket{instance="n",le="%s"}'
    calm = 100 - last
    return (
        (name % "10", f"0+{calm}x60"),
        (name % "30", "0+100x60"),
        (name % "+Inf", "0+100x60"),
    )


CASES: dict[str, Case] = {
    "WaybillReloadFailing": Case(
        (gauge("waybill_last_reload_successful", ',what="rules"', 0),),
        (gauge("waybill_last_reload_successful", ',what="rules"', 1),),
        10,
        NODE | {"what": "rules"},
    ),
    "WaybillRuleOutOfForce": Case(
        (gauge("waybill_rules_out_of_force", "", 1),),
        (
            gauge("waybill_rules_out_of_force", "", 0),
            counter("waybill_rule_unconfirmed_total", "", 0),
        ),
        10,
        NODE,
    ),
    "WaybillHandbackFailing": Case(
        (counter("waybill_handback_errors_total", ',reason="no_return"', 5),),
        (
            counter("waybill_handback_errors_total", ',reason="connect"', 0),
            counter("waybill_batches_refused_total", ',ingest="http",reason="inflight_bytes"', 5),
        ),
        30,
        NODE | {"reason": "no_return"},
        (counter("waybill_batches_refused_total", ',ingest="http",reason="no_return"', 5),),
    ),
    "WaybillBatchesRefused": Case(
        (first("waybill_batches_refused_total", ',ingest="http",reason="not_json"'),),
        (
            counter("waybill_batches_refused_total", ',ingest="api",reason="not_json"', 1),
            counter("waybill_batches_refused_total", ',ingest="http",reason="inflight_bytes"', 1),
        ),
        10,
        NODE | {"reason": "not_json"},
    ),
    "WaybillWrongPath": Case(
        (counter("waybill_batches_refused_total", ',ingest="http",reason="not_found"', 60),),
        (counter("waybill_batches_refused_total", ',ingest="http",reason="not_found"', 1),),
        40,
        NODE | {"reason": "not_found"},
    ),
    "WaybillOverloaded": Case(
        (counter("waybill_batches_refused_total", ',ingest="http",reason="inflight_bytes"', 5),),
        (counter("waybill_batches_refused_total", ',ingest="http",reason="not_json"', 5),),
        40,
        NODE | {"reason": "inflight_bytes"},
    ),
    "WaybillDeadLettersFailing": Case(
        (first("waybill_dead_letter_bodies_total", ',outcome="full"'),),
        (counter("waybill_dead_letter_bodies_total", ',outcome="kept"', 1),),
        10,
        NODE | {"outcome": "full"},
    ),
    "WaybillUnclassifiedRising": Case(
        (
            gauge("waybill_unclassified_share", "", 0.3),
            gauge("waybill_unclassified_share_baseline", "", 0.1),
        ),
        (
            gauge("waybill_unclassified_share", "", 0.3),
            gauge("waybill_unclassified_share_baseline", "", 0.29),
        ),
        45,
        NODE,
    ),
    "WaybillMostlyUnclassified": Case(
        (gauge("waybill_unclassified_share", "", 0.6),),
        (gauge("waybill_unclassified_share", "", 0.4),),
        45,
        NODE,
    ),
    "WaybillLabelDrift": Case(
        (gauge("waybill_label_drift", "", 0.4),),
        (gauge("waybill_label_drift", "", 0.1),),
        45,
        NODE,
    ),
    "WaybillSlow": Case(slow_batches(5), slow_batches(0), 45, NODE),
    "WaybillMemory": Case(
        (
            gauge("process_resident_memory_bytes", ',job="pods"', 5e8),
            gauge("waybill_build_info", ',job="pods"', 1),
        ),
        (
            gauge("process_resident_memory_bytes", ',job="pods"', 2e8),
            gauge("waybill_build_info", ',job="pods"', 1),
            gauge("process_resident_memory_bytes", ',job="other"', 5e8),
        ),
        45,
        NODE | {"job": "pods"},
    ),
    "WaybillTierFailing": Case(
        (counter("waybill_tier_errors_total", ',tier="model",reason="failed"', 3),),
        (counter("waybill_tier_errors_total", ',tier="model",reason="failed"', 0),),
        45,
        NODE | {"tier": "model", "reason": "failed"},
    ),
    "WaybillWorkersRestarting": Case(
        (counter("waybill_worker_restarts_total", ',reason="killed"', 1),),
        (counter("waybill_worker_restarts_total", ',reason="killed"', 0.05),),
        30,
        NODE | {"reason": "killed"},
    ),
    "WaybillConnectionsRefused": Case(
        (counter("waybill_connections_refused_total", ',reason="too_many"', 3),),
        (counter("waybill_connections_refused_total", ',reason="too_many"', 0),),
        40,
        NODE | {"reason": "too_many"},
    ),
    "WaybillReceiverRejects": Case(
        (first("waybill_records_rejected_total", ',handback="otlp"'),),
        (counter("waybill_records_rejected_total", "", 0),),
        10,
        NODE,
    ),
    "WaybillNewCriticalError": Case(
        (first("waybill_patterns_new_total", ',label="Critical Error"'),),
        (
            counter("waybill_patterns_new_total", ',label="Error"', 1, 3),
            counter("waybill_patterns_new_total", ',label="Critical Error"', 0),
        ),
        9,
        {"label": "Critical Error"},
    ),
    "WaybillCriticalBurst": Case(
        labelled("Critical Error", 10, 600), labelled("Critical Error", 600, 600), 135, {}
    ),
    "WaybillSecurityBurst": Case(
        labelled("Security Alert", 10, 600), labelled("Security Alert", 600, 600), 135, {}
    ),
}
