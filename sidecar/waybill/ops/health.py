"""The state of what can be loaded anew: what is in force, since when, what was refused and why.

`/readyz`, ``POST /-/reload`` and the metrics all read it from here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from waybill.ops.metrics import Metrics


class LoadState:
    """The state of one reloadable thing; ``what`` is its word in the metrics."""

    def __init__(self, what: str, metrics: Metrics, wall: Callable[[], float] = time.time) -> None:
        self.what = what
        self._metrics = metrics
        self._wall = wall
        self.version: str | None = None
        #: Seconds since the epoch.
        self.loaded_at: float | None = None
        self.problems: list[str] = []

    def accepted(self, version: str) -> None:
        """A load is in force."""
        self.version = version
        self.loaded_at = self._wall()
        self.problems = []
        self._metrics.reloads.labels(self.what, "accepted").inc()
        self._metrics.reload_ok.labels(self.what).set(1)
        self._metrics.reload_time.labels(self.what).set(self.loaded_at)

    def refused(self, problems: Sequence[str]) -> None:
        """A load was refused; what was in force before still is."""
        self.problems = list(problems)
        self._metrics.reloads.labels(self.what, "refused").inc()
        self._metrics.reload_ok.labels(self.what).set(0)

    def describe(self) -> dict[str, object]:
        """The state as plain data: ``version``, ``loaded_at`` (UTC), ``refused`` (one text a
        fault).
        """
        loaded_at = None
        if self.loaded_at is not None:
            loaded_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.loaded_at))
        return {"version": self.version, "loaded_at": loaded_at, "refused": self.problems}
