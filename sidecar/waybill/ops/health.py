"""The state of what can be loaded anew: what is in force, since when, what was refused and why.

`/readyz`, ``POST /-/reload`` and the metrics all read it from here.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from waybill.ops.metrics import Metrics

#: Faults of a refusal that are kept.
_TOLD_PROBLEMS = 20


class LoadState:
    """The state of one reloadable thing; ``what`` is its word in the metrics."""

    def __init__(self, what: str, metrics: Metrics) -> None:
        self.what = what
        self._metrics = metrics
        self.version: str | None = None
        #: Seconds since the epoch.
        self.loaded_at: float | None = None
        #: As of the version: loading the same again changes nothing.
        self.in_force_since: float | None = None
        self.problems: list[str] = []
        #: The newest refusal, kept when a later load is accepted; None where there was none.
        self.last_refusal: dict[str, object] | None = None
        #: Problems of what somebody else offers: loading again what is here does not settle them.
        self._standing: list[str] = []

    def accepted(self, version: str) -> None:
        """A load is in force."""
        self.loaded_at = time.time()
        if version != self.version:
            self.in_force_since = self.loaded_at
        self.version = version
        self.problems = list(self._standing)
        self._metrics.reloads.labels(self.what, "accepted").inc()
        self._metrics.reload_ok.labels(self.what).set(not self.problems)
        self._metrics.reload_time.labels(self.what).set(self.loaded_at)

    def refused(
        self, problems: Sequence[str], reason: str = "failed", *, stands: bool = False
    ) -> None:
        """A load was refused; what was in force before still is. ``reason`` is a bounded code.

        One that ``stands`` is over with `settled`, not with the next load.
        """
        self.problems = list(problems)
        if stands:
            self._standing = self.problems
        self.last_refusal = {
            "at": utc(time.time()),
            "reason": reason,
            "detail": self.problems[:_TOLD_PROBLEMS],
        }
        self._metrics.reloads.labels(self.what, "refused").inc()
        self._metrics.reload_ok.labels(self.what).set(0)

    def settled(self) -> None:
        """What was refused and stood is not offered any more: the next load decides."""
        self._standing = []

    def forgotten(self) -> None:
        """There is nothing to load any more, and nothing in force."""
        self.version = None
        self.loaded_at = None
        self.problems = []
        self._metrics.reload_ok.labels(self.what).set(1)

    def describe(self) -> dict[str, object]:
        """The state as plain data: ``version``, ``loaded_at`` (UTC), ``refused`` (one text a
        fault).
        """
        loaded_at = None
        if self.loaded_at is not None:
            loaded_at = utc(self.loaded_at)
        return {"version": self.version, "loaded_at": loaded_at, "refused": self.problems}

    def edition(self) -> dict[str, object]:
        """What is in force as plain data: ``version``, ``since`` (UTC), ``is_newest`` (False while
        a newer one is refused), ``last_refusal`` (``at``, ``reason``, ``detail``, or None).
        """
        since = None
        if self.in_force_since is not None:
            since = utc(self.in_force_since)
        return {
            "version": self.version,
            "since": since,
            "is_newest": not self.problems,
            "last_refusal": self.last_refusal,
        }


def utc(secs: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(secs))
