"""How metrics are declared: names, buckets, and how a gauge sums up several workers."""

from __future__ import annotations

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

#: Seconds, from a memo hit of a small batch (0.1 ms) to the patience of a shipper.
_BUCKETS = (
    0.0001,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    25,
)
#: What a gauge that is no sum says of several workers.
_OF_WORKERS: dict[str, Literal["livesum", "livemin", "livemax", "livemostrecent"]] = {
    "last_reload_successful": "livemin",
    "last_reload_success_timestamp_seconds": "livemin",
    "rules_loaded": "livemin",
    "corrections_loaded": "livemin",
    "corrections_disputed": "livemax",
    "corrections_contradicted": "livemax",
    "labelling_rules_loaded": "livemin",
    "rules_out_of_force": "livemax",
    "llm_breaker_state": "livemax",
    "label_drift": "livemax",
    "unclassified_share": "livemostrecent",
    "unclassified_share_baseline": "livemostrecent",
    "build_info": "livemax",
}


class Maker:
    """Makes metrics on one registry, with the prefix that all of ours have."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """A number that only grows; its ``name`` ends in ``_total``."""
        return Counter(f"waybill_{name}", text, labels, registry=self._registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """A number that goes up and down."""
        return Gauge(
            f"waybill_{name}",
            text,
            labels,
            registry=self._registry,
            multiprocess_mode=_OF_WORKERS.get(name, "livesum"),
        )

    def histogram(self, name: str, text: str, *labels: str) -> Histogram:
        """Durations in seconds."""
        return Histogram(f"waybill_{name}", text, labels, registry=self._registry, buckets=_BUCKETS)
