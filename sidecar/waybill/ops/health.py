"""What `/readyz` says: what is in force, what was refused and why."""

from __future__ import annotations

import time
from collections.abc import Callable

from waybill.ops.metrics import Metrics


class LoadState:
    """The state of one reloadable thing (``rules`` or ``model``) for health and metrics."""

    def __init__(self, what: str, metrics: Metrics, now: Callable[[], float] = time.time) -> None:
        self.what = what
        self._metrics, self._now = metrics, now
        self.version: str | None = None
        self.loaded_at: float | None = None
        self.problems: list[str] = []

    def accepted(self, version: str) -> None:
        """A load is in force."""
        self.version, self.loaded_at, self.problems = version, self._now(), []
        self._metrics.reloads.labels(self.what, "accepted").inc()
        self._metrics.reload_ok.labels(self.what).set(1)
        self._metrics.reload_time.labels(self.what).set(self.loaded_at)

    def refused(self, problems: list[str]) -> None:
        """A load was refused; what was in force before still is."""
        self.problems = problems
        self._metrics.reloads.labels(self.what, "refused").inc()
        self._metrics.reload_ok.labels(self.what).set(0)

    def describe(self) -> dict[str, object]:
        """The state as plain data."""
        loaded_at = self.loaded_at and time.strftime(
            "%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.loaded_at)
        )
        return {"version": self.version, "loaded_at": loaded_at, "refused": self.problems}
