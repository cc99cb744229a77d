"""Prometheus text of a registry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

__all__ = ["prometheus_text"]


class _WithoutCreation(NamedTuple):
    """A registry without the times at which its counters began: in the text format each would be
    a series more for Prometheus to keep. OpenMetrics has a place for them.
    """

    registry: Collector

    def collect(self) -> Iterator[Metric]:
        for metric in self.registry.collect():
            metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
            yield metric


def prometheus_text(registry: CollectorRegistry) -> bytes:
    """What `generate_latest` gives, without a ``_created`` series for each counter."""
    return generate_latest(_WithoutCreation(registry))
