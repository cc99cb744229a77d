"""``/metrics`` of the workbench: what it refused, and how many sidecars answer."""

from __future__ import annotations

from typing import Literal, TypeAlias

from prometheus_client import CollectorRegistry

from waybill.core.reasons import UploadCode
from waybill.ops.exposition import prometheus_text
from waybill.ops.making import Maker

#: Why a file was not taken: no room, larger than is allowed, or a form that cannot be read.
UploadRefusal: TypeAlias = UploadCode | Literal["too_large", "form", "scope"]


class BenchMetrics:
    """The metrics of a workbench, on a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        make = Maker(self.registry)
        self._refused = make.counter(
            "workbench_uploads_refused_total", "Files that were not taken.", "reason"
        )
        self._failed = make.counter(
            "workbench_requests_failed_total", "Requests that failed in an unforeseen way."
        )
        self._sidecars = make.gauge(
            "workbench_sidecars", "Sidecars that are asked, by whether they answer.", "state"
        )

    def upload_refused(self, reason: UploadRefusal) -> None:
        """Count a file that was not taken."""
        self._refused.labels(reason).inc()

    def request_failed(self) -> None:
        """Count a request that failed in a way that nobody has foreseen."""
        self._failed.inc()

    def note_sidecars(self, answering: int, failing: int) -> None:
        """How many sidecars answer, and how many do not."""
        self._sidecars.labels("answering").set(answering)
        self._sidecars.labels("failing").set(failing)

    def render(self) -> bytes:
        """Prometheus text."""
        return prometheus_text(self.registry)
